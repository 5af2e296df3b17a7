"""Bad answers are refused, all at once; odd but legal ones come through exactly, in each format."""

import ast
import configparser
import json
import os
import random
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import TEMPLATE
from tests.project import Project
from tests.test_rendering import every_database

hook = SimpleNamespace(**runpy.run_path(str(TEMPLATE / "hooks" / "pre_gen_project.py")))

Answers = dict[str, Any]
QUESTIONS = ["project_name", "project_slug", "description", "author_name", "author_email"]
# question, answer, what is wrong with it, what to answer instead
BAD = [
    ("project_slug", "my service", "has white space", "my-service"),
    ("project_slug", "my.service", "has a dot", "my-service"),
    ("project_slug", "MyService", "has uppercase letters", "myservice"),
    ("project_slug", "3d-print", "starts with a digit", "service-3d-print"),
    ("project_slug", "-tasks", "starts or ends with a hyphen or an underscore", "tasks"),
    ("project_slug", "tasks-", "starts or ends with a hyphen or an underscore", "tasks"),
    ("project_slug", "_tasks", "starts or ends with a hyphen or an underscore", "tasks"),
    ("project_slug", "my--tasks", "has two hyphens or underscores in a row", "my-tasks"),
    ("project_slug", "my-_tasks", "has two hyphens or underscores in a row", "my-tasks"),
    ("project_slug", "tasks\n", "has white space", "tasks"),
    ("project_slug", "tasks!", "has characters other than a-z", "tasks"),
    ("project_slug", "задачи", "has characters other than a-z", "task-service"),
    ("project_slug", "café", "has characters other than a-z", "cafe"),
    ("project_slug", "../../x", "is a path, not a name", "x"),
    ("project_slug", "/tmp/x", "is a path, not a name", "tmp-x"),
    ("project_slug", "a/b", "is a path, not a name", "a-b"),
    ("project_slug", "a\\b", "is a path, not a name", "a-b"),
    ("project_slug", "..", "has a dot", "task-service"),
    ("project_slug", ".", "has a dot", "task-service"),
    ("project_slug", "a" * 64, "has 64 characters, more than 63", "a" * 63),
    ("project_slug", "a" * 300, "has 300 characters, more than 63", "a" * 63),
    ("project_slug", "con", "is a name that Windows keeps for a device", "con-service"),
    ("project_slug", "lpt1", "is a name that Windows keeps for a device", "lpt1-service"),
    ("project_slug", "app", "is the name of a folder", "app-service"),
    ("project_slug", "tests", "is the name of a folder", "tests-service"),
    ("project_slug", "fastapi", "is the name of a package", "fastapi-service"),
    ("project_slug", "mako", "is the name of a package", "mako-service"),
    ("project_slug", "typing_extensions", "is the name of a package", "typing-extensions-service"),
    ("project_slug", "", "is empty", "task-service"),
    ("project_name", "", "is empty", "Task Service"),
    ("project_name", " \t ", "is empty", "Task Service"),
    ("project_name", " Tasks", "starts or ends with white space", "Tasks"),
    (
        "project_name",
        "Tasks\nof today",
        "has a control character or a line break",
        "Tasks of today",
    ),
    ("project_name", "x" * 201, "has 201 characters, more than 200", "x" * 200),
    ("description", "a\tb", "has a control character or a line break", "a b"),
    ("description", "a\x1b[31mb", "has a control character or a line break", "a [31mb"),
    ("description", "a\x7fb", "has a control character or a line break", "a b"),
    ("description", "a\u0085b", "has a control character or a line break", "a b"),
    ("description", "a\u2028b", "has a control character or a line break", "a b"),
    ("description", "a\u2029b", "has a control character or a line break", "a b"),
    ("description", "a\udc80b", "has a control character or a line break", "a b"),
    ("description", "a\uffffb", "has a control character or a line break", "a b"),
    ("description", "a }} b", "has Jinja's delimiters: }}", "a b"),
    ("description", "a %} b", "has Jinja's delimiters: %}", "a b"),
    ("description", "a #} b", "has Jinja's delimiters: #}", "a b"),
    ("description", "{{ 7 * 7 }}", "has Jinja's delimiters: {{ }}", "7 * 7"),
    ("description", "{% set x = 1 %}x", "has Jinja's delimiters: %} {%", "set x = 1 x"),
    ("description", "x{# hidden #}", "has Jinja's delimiters: #} {#", "x hidden"),
    ("description", "x" * 501, "has 501 characters, more than 500", "x" * 500),
    ("author_name", "", "is empty", "Your Name"),
    ("author_name", "Ann\nBob", "has a control character or a line break", "Ann Bob"),
    ("author_email", "", "is empty", "you@example.com"),
    ("author_email", "ann", 'has no "@"', "you@example.com"),
    ("author_email", "ann@home@example.com", 'has more than one "@"', "you@example.com"),
    ("author_email", "ann b@example.com", "has white space", "you@example.com"),
    ("author_email", "ann@localhost", "has no dot in its domain", "you@example.com"),
    ("author_email", '"ann"@example.com', "has a character that an address", "you@example.com"),
    ("author_email", "Ann <ann@example.com>", "has a character that an address", "you@example.com"),
    ("author_email", "ann@example.com.", "has a dot at an end", "you@example.com"),
    ("author_email", ".ann@example.com", "has a dot at an end", "you@example.com"),
    ("author_email", "ann@example..com", "has a dot at an end", "you@example.com"),
    ("author_email", "ann@-example.com", "is not an e-mail address", "you@example.com"),
    ("author_email", "ann@127.0.0.1", "is not an e-mail address", "you@example.com"),
    ("author_email", "@example.com", "is not an e-mail address", "you@example.com"),
    ("author_email", "ann@example.com\n", "has a control character", "ann@example.com"),
]

# Texts for the name, the description and the author of one project; one text stands for all.
ODD = {
    "quotes": ["""Say "hi" to 'Ann' and `Bob`, or \"\"\"all\"\"\" '''of''' them"""],
    "backslashes": [r"C:\new\table \" \\ \N{BEL} \u0041 \ ".strip()],
    "comments": ["# one: two // three /* four */ -- five; six: [a, b] - {c: d} ? e #"],
    "substitutions": ["100% of %s %(here)s %%(x)s ${HOME} $$ $(id) $x^2$ {a} { { } } f'{b}' { %"],
    "markup": [
        "*a* _b_ **c** ~~d~~ `e` [f](g) ![h](i) <j@k.de> | l | www.m.n [^o] :p:"
        " R&D &lt; &amp;amp; &#35; <b>bold</b> <!-- no --> <br>"
    ],
    "not-a-text": ["~", "yes", "1.5e3"],
    "yaml-signs": ["!tag &anchor *alias", "@at", "%directive `tick"],
    "bullet": ["+ one", "- one", "* one"],
    "ordered": ["1. one", "10. one 2) two", "0x1F"],
    "rule": ["+ one", "---", "***"],
    "underline": ["---", "===", "? one"],
    "quotation": ["> one", "+ one > two", ">"],
    "scripts": ["Служба «Ёлка» 任务服务、タスク「サービス」태스크 👩‍👩‍👧 🏳️‍🌈 👍🏽"],
    "right-to-left": ["خدمة المهام: \u200fשבת (1)"],
    "invisible": ["Zoe\u0308 \u00a0b\u200bc\ufeffd\u00ade\u202ef\u202c"],
    "long": ["A name of many words " * 9 + "and " + "u" * 7],
}
# The others are rendered in the slow tests alone.
FAST_ODD = {"quotes", "backslashes", "comments", "substitutions", "markup", "scripts"}
every_kind = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in FAST_ODD else [pytest.mark.slow]) for kind in ODD],
)
EMAILS = [
    "ann@example.com",
    "ann+tag@sub.example.co.uk",
    "o'neil_%&@example.com",
    "zoë@exämple.com",
    "задачи@пример.рф",
    "संपर्क@डाटामेल.भारत",
    "a@b.co",
]


@pytest.fixture
def render_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[Answers], str]:
    """Render in a folder of its own with answers that must be refused; return what is said."""

    def render_refused(answers: Answers) -> str:
        folder = tmp_path / "some" / "folder"
        folder.mkdir(parents=True)
        with pytest.raises(FailedHookException):
            cookiecutter(
                str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder)
            )
        assert sorted(tmp_path.rglob("*")) == [tmp_path / "some", folder]
        return capfd.readouterr().err

    return render_refused


def batches() -> list[Any]:
    """Put the bad answers to different questions together: one render tells of all.

    The fast tests render those whose slug Cookiecutter would make folders of.
    """
    by_question = [[case for case in BAD if case[0] == question] for question in QUESTIONS]
    return [
        pytest.param(
            [case for case in batch if case],
            id=ascii(batch[1][1])[:30],
            marks=[] if re.search(r"[/\\]|a{300}", batch[1][1]) else pytest.mark.slow,
        )
        for batch in zip_longest(*by_question)
    ]


@pytest.mark.parametrize("batch", batches())
def test_a_bad_answer_is_refused_with_a_reason_and_a_suggestion_and_leaves_nothing(
    render_refused: Callable[[Answers], str], batch: list[tuple[str, str, str, str]]
) -> None:
    message = render_refused({question: answer for question, answer, *_ in batch})
    blocks = [block.splitlines() for block in message.strip().split("\n\n")[1:]]
    told = {first.split(":")[0].strip(): lines for first, *lines in blocks}
    assert list(told) == [question for question, *_ in batch]
    for question, _, reason, suggestion in batch:
        assert any(line.startswith(f"    {reason}") for line in told[question]), message
        assert told[question][-1] == f"    try: {suggestion}"


@pytest.mark.parametrize(("question", "answer", "reason", "suggestion"), BAD)
def test_a_bad_answer_is_judged_with_a_reason_and_a_suggestion(
    question: str, answer: str, reason: str, suggestion: str
) -> None:
    given = {question: answer}
    if question == "project_slug":
        given["__slug_given"] = answer
    elif question != "author_email":
        given[f"__{question}_escaped"] = hook.escaped(answer)
    (bad,) = bad_answers(**given)
    assert bad.question == question
    assert any(text.startswith(reason) for text in bad.reasons)
    assert bad.suggestion == suggestion


def test_an_absolute_slug_makes_no_folder_elsewhere(
    render_refused: Callable[[Answers], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    render_refused({"project_slug": str(elsewhere / "deep" / "x")})
    assert list(elsewhere.iterdir()) == []


def test_every_bad_answer_is_told_at_once(refuse: Callable[..., str]) -> None:
    message = refuse(
        project_name="Tasks\x07",
        project_slug="../../My App",
        description="{{ 7 * 7 }}",
        author_name=" ",
        author_email="nobody",
    )
    assert "Nothing was rendered: 5 answers have to change." in message
    assert re.findall(r"^  (\w+): ", message, re.MULTILINE) == QUESTIONS
    assert message.count("    try: ") == 5
    for reason in ("is a path, not a name", "has white space", "has uppercase letters"):
        assert f"\n    {reason}\n" in message
    assert "pre_gen_project.py" not in message, "our own code must not show a traceback"


@pytest.mark.parametrize("answer", ["yes", "Y", "true", "1", "on"])
def test_kubernetes_with_sqlite_is_refused_with_the_reason(answer: str) -> None:
    (bad,) = bad_answers(database="sqlite", kubernetes=answer, __kubernetes="yes")
    assert (bad.question, bad.answer, bad.suggestion) == ("kubernetes", answer, "no")
    (reason,) = bad.reasons
    assert "needs database=postgresql" in reason


def test_kubernetes_with_sqlite_leaves_nothing(
    render_refused: Callable[[Answers], str],
) -> None:
    message = render_refused({"database": "sqlite", "kubernetes": "yes", "setup": "no"})
    assert "Nothing was rendered: one answer has to change." in message
    assert re.search(r"^  kubernetes: .*\n    needs database=postgresql: ", message, re.MULTILINE)
    assert "\n    try: no\n" in message


def test_an_answer_typed_at_a_prompt_is_judged_as_it_was_typed(tmp_path: Path) -> None:
    typed = ["A {{7*7}} {% b {# c", "../../x", *[""] * 8, "no"]
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE)],
        cwd=tmp_path,
        input="\n".join(typed) + "\n",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert "  project_name: 'A {{7*7}} {% b {# c'\n" in done.stderr
    assert "  project_slug: '../../x'\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_replay_of_refused_answers_is_refused_again(
    render_refused: Callable[[Answers], str],
    tmp_path: Path,
    home: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    render_refused({"project_slug": "a/b"})
    with pytest.raises(FailedHookException):
        cookiecutter(str(TEMPLATE), replay=True, output_dir=str(tmp_path / "some" / "folder"))
    assert "  project_slug: 'a/b'\n" in capfd.readouterr().err
    assert list((tmp_path / "some" / "folder").iterdir()) == []


def test_a_replay_file_edited_by_hand_is_refused(
    tmp_path: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cookiecutter(
        str(TEMPLATE), no_input=True, extra_context={"setup": False}, output_dir=str(tmp_path)
    )
    replay = (home / "replay" / f"{TEMPLATE.name}.json").read_text("utf-8")
    edited, output = tmp_path / "edited.json", tmp_path / "output"
    for edit in ({"project_slug": "other"}, {"description": "Other"}, {"author_name": "A B"}):
        context = json.loads(replay)
        context["cookiecutter"].update(edit)
        edited.write_text(json.dumps(context), "utf-8")
        with pytest.raises(FailedHookException):
            cookiecutter(str(TEMPLATE), replay=str(edited), output_dir=str(output))
        assert "    holds answers edited or left out by hand\n" in capfd.readouterr().err
        assert list(output.iterdir()) == []


def test_an_answer_that_is_no_text_is_refused(
    render_refused: Callable[[Answers], str],
) -> None:
    message = render_refused({"project_name": None})
    assert "    is not a text: put it into quotes\n" in message


@pytest.mark.parametrize("question", hook.BOOLEAN_QUESTIONS)
@pytest.mark.parametrize("answer", ["maybe", "", "si"])
def test_what_is_neither_yes_nor_no_is_refused(question: str, answer: str) -> None:
    (bad,) = bad_answers(**{question: answer})
    assert (bad.question, bad.reasons) == (question, ["is neither yes nor no"])


@pytest.mark.parametrize("question", hook.BOOLEAN_QUESTIONS)
@pytest.mark.parametrize("answer", [True, False, "yes", "No", " n ", "true", "0"])
def test_what_cookiecutter_takes_for_yes_or_no_passes(question: str, answer: object) -> None:
    assert bad_answers(**{question: answer}) == []


def test_every_question_for_yes_or_no_is_judged() -> None:
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
    booleans = [name for name, default in questions.items() if isinstance(default, bool)]
    assert tuple(booleans) == hook.BOOLEAN_QUESTIONS


def bad_answers(**given: object) -> list[Any]:
    """Judge answers as Cookiecutter 2.6 gives them: as they stand on the command line."""
    answers = hook.FALLBACKS | {"project_slug": "tasks", "__slug_given": "tasks"}
    answers |= {"database": "postgresql", "__kubernetes": ""}
    answers |= dict.fromkeys(hook.BOOLEAN_QUESTIONS, False)
    derived = {f"__{question}_escaped": text for question, text in hook.FALLBACKS.items()}
    found: list[Any] = hook.find_bad_answers(answers | derived | given, {})
    return found


@pytest.mark.parametrize(
    "slug",
    ["a", "tasks", "task-service", "task_service2", "a" * 63, "class", "json", "cone", "com10"],
)
def test_a_plain_slug_passes_be_it_a_keyword_or_a_module_of_python(slug: str) -> None:
    assert hook.slug_reasons(slug) == []


def test_a_slug_passes_exactly_when_it_is_lowercase_words_joined_by_single_hyphens() -> None:
    pattern = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
    rng = random.Random(2)
    for _ in range(5000):
        slug = "".join(rng.choices("abz09-_.A/ \né", k=rng.randint(0, 6)))
        assert (hook.slug_reasons(slug) == []) == bool(pattern.fullmatch(slug)), slug


def test_each_suggestion_is_an_answer_that_passes() -> None:
    rng = random.Random(3)
    alphabet = 'ab09-_. @/\\"é{}%#\n\x00\u2028☃Ж'
    for _ in range(500):
        text = "".join(rng.choices(alphabet, k=rng.randint(0, 600)))
        assert hook.slug_reasons(hook.suggested_slug(text)) == []
        for question in hook.TEXT_LIMITS:
            suggestion = hook.suggested_text(question, text)
            assert hook.text_reasons(question, suggestion) == []


@every_database
def test_no_dependency_of_the_rendered_project_can_be_its_name(
    bake: Callable[..., Path], database: str
) -> None:
    with (bake(database=database) / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    names = {re.split(r"[^\w.-]", requirement)[0] for group in groups for requirement in group}
    assert {re.sub("[-_.]+", "-", name).lower() for name in names} <= hook.DEPENDENCIES


@pytest.mark.parametrize("email", EMAILS)
def test_an_address_with_a_tag_or_in_any_script_passes(email: str) -> None:
    assert hook.text_reasons("author_email", email) == []


def test_an_empty_description_passes(bake: Callable[..., Path]) -> None:
    assert from_toml(bake(description=""))["description"] == ""


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Task Service", "task-service"),
        ("3D Print", "service-3d-print"),
        ("🎉", "service"),
        ("Служба задач", "sluzhba-zadach"),
        ("word " * 20 + "end", "-".join(["word"] * 12)),
        ("1" + "x" * 100, "service-1" + "x" * 54),
    ],
)
def test_the_slug_proposed_for_a_name_passes(name: str, slug: str) -> None:
    questions = generate_context(
        str(TEMPLATE / "cookiecutter.json"), extra_context={"project_name": name}
    )
    assert prompt_for_config(questions, no_input=True)["project_slug"] == slug
    assert hook.slug_reasons(slug) == []


# What a format's own parser reads back, by question.


def from_toml(root: Path) -> Answers:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    (author,) = project["authors"]
    return {
        "project_slug": project["name"],
        "description": project["description"],
        "author_name": author["name"],
        "author_email": author["email"],
    }


def from_python(root: Path) -> Answers:
    module = ast.parse((root / "app" / "main.py").read_text("utf-8"))
    (call,) = (
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "FastAPI"
    )
    texts = {
        keyword.arg: keyword.value.value
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    return {"project_name": texts["title"], "description": texts["description"]}


def from_json(root: Path) -> Answers:
    answers: Answers = json.loads((root / ".cookiecutter.json").read_text("utf-8"))[
        "default_context"
    ]
    return answers


def from_yaml(root: Path) -> Answers:
    """Read the answers as Cookiecutter does: for it, each configuration file is YAML."""
    answers: Answers = yaml.safe_load((root / ".cookiecutter.json").read_text("utf-8"))[
        "default_context"
    ]
    return answers


def from_markdown(root: Path) -> Answers:
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = markdown.parse((root / "README.md").read_text("utf-8"))
    assert [token.type for token in tokens[:1] + tokens[3:4]] == ["heading_open", "paragraph_open"]
    return {"project_name": plain_text(tokens[1]), "description": plain_text(tokens[4])}


def plain_text(inline: Token) -> str:
    assert inline.children
    assert {child.type for child in inline.children} == {"text"}
    return "".join(child.content for child in inline.children)


def from_license(root: Path) -> Answers:
    lines = (root / "LICENSE").read_text("utf-8").split("\n")
    (line,) = (line for line in lines if line.startswith("Copyright (c) "))
    return {"author_name": line.removeprefix("Copyright (c) ")}


FORMATS = {
    "TOML": from_toml,
    "Python": from_python,
    "JSON": from_json,
    "YAML": from_yaml,
    "Markdown": from_markdown,
    "plain text": from_license,
}


def bake_odd(bake: Callable[..., Path], kind: str) -> tuple[Path, dict[str, str]]:
    texts = ODD[kind] * (3 // len(ODD[kind]))
    answers = dict(zip(("project_name", "description", "author_name"), texts, strict=True))
    answers["author_email"] = EMAILS[list(ODD).index(kind) % len(EMAILS)]
    return bake(**answers), answers


@every_kind
@pytest.mark.parametrize("name", FORMATS)
def test_an_odd_text_comes_through_exactly(bake: Callable[..., Path], kind: str, name: str) -> None:
    root, answers = bake_odd(bake, kind)
    read = FORMATS[name](root)
    expected = {question: text for question, text in answers.items() if question in read}
    assert {question: read[question] for question in expected} == expected


@pytest.mark.slow
def test_no_odd_text_spoils_the_style_of_the_rendered_code(bake: Callable[..., Path]) -> None:
    folders = [str(bake_odd(bake, kind)[0]) for kind in ODD]
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--quiet", *folders]
        done = subprocess.run(ruff, capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stdout) == (0, "")


def test_the_answers_kept_in_a_project_render_it_again(
    bake: Callable[..., Path], tmp_path: Path
) -> None:
    first, _ = bake_odd(bake, "quotes")
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
    command += ["--config-file", str(first / ".cookiecutter.json")]
    home = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home")}
    subprocess.run(command, cwd=tmp_path, env=os.environ | home, check=True, capture_output=True)
    assert tree(tmp_path / first.name) == tree(first)


def tree(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@every_kind
def test_no_answer_reaches_the_ini_file(bake: Callable[..., Path], kind: str) -> None:
    ini = (bake_odd(bake, kind)[0] / "alembic.ini").read_text("utf-8")
    assert ini == (bake() / "alembic.ini").read_text("utf-8")
    parsed = configparser.ConfigParser({"here": "."})
    parsed.read_string(ini)
    assert dict(parsed["alembic"])["file_template"] == "%(rev)s_%(slug)s"


@pytest.mark.slow
def test_an_odd_text_comes_through_exactly_in_openapi(
    bake: Callable[..., Path], set_up: Callable[..., Path]
) -> None:
    program = "import json; from app.main import app; print(json.dumps(app.openapi()['info']))"
    for kind in ODD:
        folder, answers = bake_odd(bake, kind)
        project = Project(set_up(), folder)
        done = project.run("-c", program, url="postgresql://nobody@127.0.0.1:1/none")
        assert done.returncode == 0, done.stderr
        info = json.loads(done.stdout)
        assert (info["title"], info["description"]) == (
            answers["project_name"],
            answers["description"],
        )


@pytest.mark.slow
@every_database
def test_every_package_that_a_project_installs_is_a_reserved_slug(
    set_up: Callable[..., Path], database: str
) -> None:
    lock = tomllib.loads((set_up(database=database) / "uv.lock").read_text("utf-8"))
    names = {package["name"] for package in lock["package"]} - {"task-service"}
    assert len(names) > 30
    assert names <= hook.DEPENDENCIES
