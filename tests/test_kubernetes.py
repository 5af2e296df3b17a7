"""The manifests build, follow the published schemas, and say what the application needs."""

import ast
import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate.utils
import pytest
import yaml
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config

from tests.conftest import TEMPLATE
from tests.test_rendering import KUBERNETES_FILES, YAML_RULES, run, texts_of

Bake = Callable[..., Path]
Object = dict[str, Any]

# The oldest in which a preStop hook can sleep, and all that the package has schemas of since then.
OLDEST = (1, 30)
VERSIONS = [
    version
    for version in kubernetes_validate.utils.all_versions()
    if tuple(map(int, version.split(".")[:2])) >= OLDEST
]
ANSWERS = {
    "defaults": {},
    "underscores": {"project_slug": "task_service_2"},
    "63-characters": {"project_slug": "a" * 54 + "_" + "b" * 8},
    "63-letters": {"project_slug": "a" * 63},
    "boolean": {"project_slug": "true"},
    "null": {"project_slug": "null"},
    "letter": {"project_slug": "n"},
    "python-3.13": {"python_version": "3.13"},
    "python-3.12": {"python_version": "3.12"},
    "quotes": {
        "project_name": """Say "hi" to 'Ann': # {a} & *b* $(id) \\ %s""",
        "project_slug": "hi",
    },
    "scripts": {"project_name": "Служба 任务 👩‍👩‍👧", "project_slug": "s", "author_name": "Zoë: #"},
}
# A name of what is built, and whether the component is in it.
BUILDS = ["base", "overlays/production", "overlays/with-job"]
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# Each part of these may be longer than a label.
SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
# Their names become host names or values of labels; those of other kinds may be longer.
SHORT_NAMES = {"Deployment", "Job", "Service"}
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
COMMAND = ["alembic", "upgrade", "head"]

# One of them in the fast tests; kubectl takes a third of a second for each.
every_answer = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind == "defaults" else pytest.mark.slow) for kind in ANSWERS],
)
every_build = pytest.mark.parametrize("name", BUILDS)


def kubectl(*arguments: str) -> str:
    # It is a package of ours: where it is missing, the tests fail.
    command = [str(Path(sys.executable).with_name("kubectl")), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The manifests for these answers, with a second overlay, in which the component is used."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            rendered = bake(**ANSWERS[kind], kubernetes=True) / "deploy/kubernetes"
            made[kind] = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
            shutil.copytree(rendered, made[kind])
            overlay = made[kind] / "overlays/production/kustomization.yaml"
            text = overlay.read_text("utf-8")
            used = re.sub(
                r"^# (components:|  - .*/migration-job)$", r"\1", text, flags=re.MULTILINE
            )
            assert used.count("\ncomponents:\n  - ../../components/migration-job\n") == 1
            with_job = made[kind] / "overlays/with-job/kustomization.yaml"
            with_job.parent.mkdir()
            with_job.write_text(used, "utf-8")
        return made[kind]

    return folder


@pytest.fixture(scope="module")
def build(folder: Callable[[str], Path]) -> Callable[..., list[Object]]:
    """What `kubectl kustomize` makes, by answers and by build; once."""
    made: dict[tuple[str, str], list[Object]] = {}

    def build(kind: str, name: str) -> list[Object]:
        if (kind, name) not in made:
            text = kubectl("kustomize", str(folder(kind) / name))
            made[kind, name] = list(yaml.safe_load_all(text))
        return made[kind, name]

    return build


Build = Callable[[str, str], list[Object]]


def of_kind(objects: list[Object], kind: str) -> Object:
    (found,) = (found for found in objects if found["kind"] == kind)
    return found


def pod_specs(objects: list[Object]) -> list[Object]:
    return [o["spec"]["template"]["spec"] for o in objects if o["kind"] in {"Deployment", "Job"}]


def containers(objects: list[Object]) -> list[Object]:
    return [
        container
        for spec in pod_specs(objects)
        for container in (spec.get("initContainers") or []) + spec["containers"]
    ]


def container_of(objects: list[Object], name: str) -> Object:
    (found,) = (found for found in containers(objects) if found["name"] == name)
    return found


def environment(container: Object) -> dict[str, Any]:
    """The value of each variable, or the reference to where it is."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def walk(value: Any, *path: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, value
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(item, *path, key)


def selectors(objects: list[Object]) -> list[dict[str, str]]:
    """Each selector of pods, whatever object it stands in."""
    found = [of_kind(objects, "Service")["spec"]["selector"]]
    found += [value for path, value in walk(objects) if path and path[-1] == "matchLabels"]
    assert len(found) == 5  # Service, Deployment, PodDisruptionBudget, two topology constraints
    return found


@every_answer
@every_build
def test_everything_builds_and_is_what_it_should_be(build: Build, kind: str, name: str) -> None:
    kinds = ["ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"]
    found = sorted(object["kind"] for object in build(kind, name))
    assert found == sorted(kinds + (["Job"] if name == "overlays/with-job" else []))


@pytest.mark.slow
def test_a_linter_has_nothing_to_say_of_any_name(folder: Callable[[str], Path]) -> None:
    files = [str(path) for kind in ANSWERS for path in folder(kind).rglob("*.yaml")]
    run("yamllint", "--strict", "-d", YAML_RULES, *files, cwd=folder("defaults"))


@every_answer
@every_build
def test_every_object_follows_the_schema_of_the_newest_kubernetes(
    build: Build, kind: str, name: str
) -> None:
    for manifest in build(kind, name):
        assert kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True) in VERSIONS[-1]


@every_build
def test_every_object_follows_the_schema_of_the_oldest_kubernetes(build: Build, name: str) -> None:
    assert VERSIONS[0].startswith("1.30")
    for manifest in build("defaults", name):
        assert kubernetes_validate.validate(manifest, VERSIONS[0], strict=True) == "1.30"


def test_a_field_that_a_version_does_not_have_is_found(build: Build) -> None:
    deployment = of_kind(build("defaults", "base"), "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.25", strict=True)


@every_answer
@every_build
def test_names_and_labels_are_ones_that_kubernetes_takes(
    build: Build, kind: str, name: str
) -> None:
    for manifest in build(kind, name):
        metadata = manifest["metadata"]
        assert SUBDOMAIN.fullmatch(metadata["name"]), metadata["name"]
        if manifest["kind"] in SHORT_NAMES:
            assert LABEL.fullmatch(metadata["name"]), metadata["name"]
        assert LABEL.fullmatch(metadata.get("namespace", "default"))
    pairs = [
        pair
        for path, value in walk(build(kind, name))
        if path and path[-1] in {"labels", "matchLabels", "selector"}
        for pair in value.items()
        if pair[0] != "matchLabels"
    ]
    assert len(pairs) > 10
    for key, value in pairs:
        assert re.fullmatch(r"app\.kubernetes\.io/[a-z]+", key)
        assert isinstance(value, str)
        assert LABEL_VALUE.fullmatch(value), value


@every_answer
@every_build
def test_every_object_has_the_name_of_the_project(build: Build, kind: str, name: str) -> None:
    slug = ANSWERS[kind].get("project_slug", "task-service").replace("_", "-")
    for manifest in build(kind, name):
        assert manifest["metadata"]["labels"][NAME] == slug
        assert manifest["metadata"].get("namespace") == (None if name == "base" else slug)


@every_answer
@every_build
def test_selectors_choose_the_pods_that_serve_and_no_other(
    build: Build, kind: str, name: str
) -> None:
    objects = build(kind, name)
    labels = {
        manifest["kind"]: manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in objects
        if manifest["kind"] in {"Deployment", "Job"}
    }
    for selector in selectors(objects):
        assert set(selector) == {NAME, COMPONENT}
        assert selector.items() <= labels["Deployment"].items()
        assert not selector.items() <= labels.get("Job", {}).items()


@every_build
def test_what_an_object_refers_to_is_there(build: Build, name: str) -> None:
    objects = build("defaults", name)
    deployment = of_kind(objects, "Deployment")["metadata"]["name"]
    target = of_kind(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
    settings = of_kind(objects, "ConfigMap")["metadata"]["name"]
    used = {
        source["configMapRef"]["name"]
        for container in containers(objects)
        for source in container.get("envFrom", [])
    }
    assert used == {settings}
    assert re.fullmatch("task-service-settings-[a-z0-9]{10}", settings)
    server = container_of(objects, "server")
    assert server["ports"] == [{"name": "http", "containerPort": 8000}]
    (port,) = of_kind(objects, "Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")


@every_answer
@every_build
def test_every_pod_meets_the_restricted_pod_security_standard(
    build: Build, kind: str, name: str
) -> None:
    volumes = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    objects = build(kind, name)
    for spec in pod_specs(objects):
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        assert all(set(v) - {"name"} <= volumes for v in spec.get("volumes", []))
        pod = spec["securityContext"]
        assert pod == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert spec["automountServiceAccountToken"] is False
    found = containers(objects)
    assert len(found) == 2
    for container in found:
        # Exactly these: nothing else is set that a pod's own context forbids.
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


def test_the_user_is_that_of_the_image(bake: Bake, build: Build) -> None:
    dockerfile = (bake(kubernetes=True) / "Dockerfile").read_text("utf-8")
    (spec,) = pod_specs(build("defaults", "base"))
    assert f"\nUSER {spec['securityContext']['runAsUser']}\n" in dockerfile
    port = container_of(build("defaults", "base"), "server")["ports"][0]["containerPort"]
    assert f"\nEXPOSE {port}\n" in dockerfile


def routes(project: Path) -> set[str]:
    """The paths of app/core/health.py."""
    text = (project / "app/core/health.py").read_text("utf-8")
    (prefix,) = re.findall(r'APIRouter\(prefix="([^"]+)"', text)
    return {prefix + path for path in re.findall(r'@router\.get\("([^"]+)"', text)}


def test_probes_ask_for_paths_that_exist_and_only_readiness_asks_for_the_database(
    bake: Bake, build: Build
) -> None:
    server = container_of(build("defaults", "base"), "server")
    probes = {key: value for key, value in server.items() if key.endswith("Probe")}
    paths = {key: value["httpGet"]["path"] for key, value in probes.items()}
    assert paths == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    assert set(paths.values()) <= routes(bake(kubernetes=True))
    assert {value["httpGet"]["port"] for value in probes.values()} == {"http"}
    health = (bake(kubernetes=True) / "app/core/health.py").read_text("utf-8")
    (seconds,) = re.findall(r"^TIMEOUT_SECONDS = (\d+)$", health, re.MULTILINE)
    assert server["readinessProbe"]["timeoutSeconds"] > int(seconds)


@every_build
def test_requests_under_way_have_the_time_to_end(bake: Bake, build: Build, name: str) -> None:
    start = (bake(kubernetes=True) / "scripts/start.sh").read_text("utf-8")
    (graceful,) = re.findall(r"--timeout-graceful-shutdown (\d+)", start)
    objects = build("defaults", name)
    spec = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    sleep = container_of(objects, "server")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep >= 5
    assert spec["terminationGracePeriodSeconds"] > sleep + int(graceful)


def settings_of(project: Path) -> set[str]:
    """The variables that the application, the image and its server read."""
    fields: set[str] = set()
    for name in ("app/core/db/settings.py", "app/core/settings.py", "app/settings.py"):
        module = ast.parse((project / name).read_text("utf-8"))
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
                named = (item.target for item in node.body if isinstance(item, ast.AnnAssign))
                fields |= {ast.unparse(target).upper() for target in named}
    assert {"DATABASE_URL", "LOG_FORMAT"} <= fields
    start = (project / "scripts/start.sh").read_text("utf-8")
    in_script = set(re.findall(r"\$\{([A-Z_]+)", start))
    return fields | in_script


@every_build
def test_every_variable_is_a_setting(bake: Bake, build: Build, name: str) -> None:
    objects = build("defaults", name)
    variables = set(of_kind(objects, "ConfigMap")["data"])
    for container in containers(objects):
        variables |= set(environment(container))
    assert {"DATABASE_POOL_SIZE", "RUN_MIGRATIONS", "MIGRATION_DATABASE_URL"} <= variables
    assert variables <= settings_of(bake(kubernetes=True))


@every_answer
@every_build
def test_one_container_migrates_and_another_one_serves(build: Build, kind: str, name: str) -> None:
    objects = build(kind, name)
    deployment = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    (server,) = deployment["containers"]
    assert environment(server)["RUN_MIGRATIONS"] == "false"
    assert not {"command", "args"} & set(server)
    with_job = name == "overlays/with-job"
    migrates = (
        of_kind(objects, "Job")["spec"]["template"]["spec"]["containers"]
        if with_job
        else deployment["initContainers"]
    )
    assert [container["command"] for container in migrates] == [COMMAND]
    assert bool(deployment.get("initContainers")) == (not with_job)
    assert migrates[0]["image"] == server["image"]


@every_build
def test_a_job_runs_before_the_first_configmap_is_there(build: Build, name: str) -> None:
    objects = build("defaults", name)
    for job in (found for found in objects if found["kind"] == "Job"):
        assert job["metadata"]["annotations"] == {
            "argocd.argoproj.io/hook": "PreSync",
            "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
        }
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert "envFrom" not in container
        settings = of_kind(objects, "ConfigMap")["data"]
        given = environment(container)
        assert {
            key: given[key] for key in ("ENVIRONMENT", "LOG_FORMAT")
        }.items() <= settings.items()
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        assert "ttlSecondsAfterFinished" not in job["spec"]


@every_answer
@every_build
def test_the_database_is_named_by_a_secret_that_is_not_here(
    folder: Callable[[str], Path], build: Build, kind: str, name: str
) -> None:
    slug = ANSWERS[kind].get("project_slug", "task-service").replace("_", "-")
    objects = build(kind, name)
    url = {"secretKeyRef": {"name": f"{slug}-database", "key": "url"}}
    direct = {"name": f"{slug}-database", "key": "migration-url", "optional": True}
    # The first is not optional: without it a pod does not start.
    assert {c["name"]: environment(c)["DATABASE_URL"] for c in containers(objects)} == {
        "server": url,
        "migrate": url,
    }
    migrate = environment(container_of(objects, "migrate"))
    assert migrate["MIGRATION_DATABASE_URL"] == {"secretKeyRef": direct}
    assert "MIGRATION_DATABASE_URL" not in environment(container_of(objects, "server"))
    assert "Secret" not in {manifest["kind"] for manifest in objects}
    for path in folder(kind).rglob("*.yaml"):
        text = path.read_text("utf-8")
        assert not re.search(
            r"kind: Secret|secretGenerator|passw|://[^/\s]*@|stringData", text, re.I
        )


@every_build
def test_the_autoscaler_owns_the_number_of_pods(build: Build, name: str) -> None:
    objects = build("defaults", name)
    deployment = of_kind(objects, "Deployment")["spec"]
    assert "replicas" not in deployment
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    scaler = of_kind(objects, "HorizontalPodAutoscaler")["spec"]
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 60
    # A budget that leaves none to evict would keep every node from being drained.
    budget = of_kind(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_build
def test_every_container_has_a_limit_of_memory_and_none_of_cpu(build: Build, name: str) -> None:
    for container in containers(build("defaults", name)):
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


@every_build
def test_all_pods_together_have_fewer_connections_than_postgresql_by_default(
    build: Build, name: str
) -> None:
    objects = build("defaults", name)
    data = of_kind(objects, "ConfigMap")["data"]
    pods = of_kind(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] + 1
    connections = pods * int(data["WEB_CONCURRENCY"]) * int(data["DATABASE_POOL_SIZE"]) + pods
    assert connections < 100 - 3  # three are kept for superusers


def test_the_overlay_names_the_image_and_its_tag(build: Build) -> None:
    for name in BUILDS:
        images = {container["image"] for container in containers(build("defaults", name))}
        if name == "base":
            assert images == {"task-service"}
        else:
            assert images == {"registry.example.com/task-service:0.1.0"}


# The page about it.


@pytest.fixture(scope="module")
def page(bake: Bake) -> str:
    return (bake(kubernetes=True) / "docs/kubernetes.md").read_text("utf-8")


def test_the_page_names_what_is_there(bake: Bake, build: Build, page: str) -> None:
    project = bake(kubernetes=True)
    for path in re.findall(r"kubectl apply -k (\S+)", page):
        assert (project / path / "kustomization.yaml").is_file()
    for folder in re.findall(r"`((?:base|overlays|components)/[a-z/-]*)`", page):
        assert (project / "deploy/kubernetes" / folder).is_dir()
    for name in re.findall(r"deployment/(\S+)", page):
        assert name == of_kind(build("defaults", "base"), "Deployment")["metadata"]["name"]
    (secret,) = re.findall(r"create secret generic (\S+)", page)
    server = container_of(build("defaults", "base"), "server")
    assert environment(server)["DATABASE_URL"]["secretKeyRef"]["name"] == secret
    (image,) = set(re.findall(r"docker (?:build -t|push) (\S+)", page))
    assert container_of(build("defaults", "overlays/production"), "server")["image"] == image
    assert Path(project / "docs/migrations.md").is_file()


def test_the_connections_that_the_page_counts_are_those_of_the_overlay(
    build: Build, page: str
) -> None:
    objects = build("defaults", "overlays/production")
    data = of_kind(objects, "ConfigMap")["data"]
    pods = of_kind(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] + 1
    factors = [pods, int(data["WEB_CONCURRENCY"]), int(data["DATABASE_POOL_SIZE"])]
    product = factors[0] * factors[1] * factors[2]
    assert f"{factors[0]} × {factors[1]} × {factors[2]} = {product} of 100" in page


def patched(folder: Path, *patches: Object) -> list[Object]:
    overlay = folder / "kustomization.yaml"
    text = yaml.safe_load(overlay.read_text("utf-8"))
    text["patches"] += [{"patch": json.dumps(patch)} for patch in patches]
    overlay.write_text(json.dumps(text), "utf-8")
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


@pytest.mark.parametrize("name", BUILDS[1:])
def test_the_patch_for_cloudnativepg_changes_the_secret_and_nothing_else(
    folder: Callable[[str], Path], build: Build, page: str, tmp_path: Path, name: str
) -> None:
    (block,) = re.findall(r"^```yaml\n(patches:\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    patch = yaml.safe_load(yaml.safe_load(block)["patches"][0]["patch"])
    patches = [patch]
    if name == "overlays/with-job":  # as the page says in words
        job = copy.deepcopy(patch) | {"apiVersion": "batch/v1", "kind": "Job"}
        job["metadata"]["name"] = of_kind(build("defaults", name), "Job")["metadata"]["name"]
        spec = job["spec"]["template"]["spec"]
        spec["containers"] = spec.pop("initContainers")
        del patch["spec"]["template"]["spec"]["initContainers"]
        patches.append(job)
    shutil.copytree(folder("defaults"), tmp_path / "kubernetes")
    after = patched(tmp_path / "kubernetes" / name, *patches)
    for container in containers(after):
        (url,) = (item for item in container["env"] if item["name"] == "DATABASE_URL")
        assert url["valueFrom"] == {"secretKeyRef": {"name": "db-app", "key": "uri"}}
        url["valueFrom"] = {"secretKeyRef": {"name": "task-service-database", "key": "url"}}
    assert in_order(after) == in_order(build("defaults", name))


def in_order(objects: list[Object]) -> list[Object]:
    """The same objects with their variables sorted: their order means nothing."""
    objects = copy.deepcopy(objects)
    for container in containers(objects):
        container["env"].sort(key=lambda item: str(item["name"]))
    return objects


# With the answer no.


def test_without_it_there_is_no_trace(bake: Bake) -> None:
    off = texts_of(bake())
    assert not (bake() / "deploy").exists()
    # The Dockerfile gives Kubernetes as the reason for its number of a user, in every project, and
    # updating.md names the answers that can be changed.
    held = {
        name for name, text in off.items() if re.search("kubernetes|kustom|kubectl", text, re.I)
    }
    assert held == {".cookiecutter.json", "Dockerfile", "docs/updating.md"}
    answers = json.loads(off[".cookiecutter.json"])["default_context"]
    assert answers["kubernetes"] is False


def test_it_adds_files_and_two_lines_of_the_readme(bake: Bake) -> None:
    off, on = texts_of(bake()), texts_of(bake(kubernetes=True))
    assert sorted(on.keys() - off.keys()) == sorted(KUBERNETES_FILES)
    changed = {name for name in off if off[name] != on[name]}
    assert changed == {".cookiecutter.json", "README.md"}
    added = set(on["README.md"].splitlines()) - set(off["README.md"].splitlines())
    assert len(added) == 2
    assert all("docs/kubernetes.md" in line for line in added)
    assert set(off["README.md"].splitlines()) <= set(on["README.md"].splitlines())


def test_rendered_again_without_it_a_project_loses_these_files_and_keeps_its_own(
    render: Bake, tmp_path: Path
) -> None:
    def again(kubernetes: bool) -> Path:
        answers = {"setup": False, "kubernetes": kubernetes}
        return Path(
            cookiecutter(
                str(TEMPLATE),
                no_input=True,
                extra_context=answers,
                output_dir=str(tmp_path),
                overwrite_if_exists=True,
            )
        )

    project = again(True)
    own = project / "deploy/kubernetes/overlays/staging/kustomization.yaml"
    own.parent.mkdir()
    own.write_text("resources: []\n", "utf-8")
    assert again(False) == project
    assert [path for path in (project / "deploy").rglob("*") if path.is_file()] == [own]


@pytest.mark.parametrize("answer", [True, "yes", "Y", "true", "1", "on"])
def test_a_yes_in_any_form_is_a_yes(answer: object) -> None:
    questions = generate_context(
        str(TEMPLATE / "cookiecutter.json"), extra_context={"kubernetes": answer}
    )
    assert prompt_for_config(questions, no_input=True)["__kubernetes"] == "yes"
