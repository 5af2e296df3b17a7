"""Draw the tables of the models into `docs/schema.md`; with --check, is the picture fresh?"""

import sys

from paracelsus.graph import get_graph_string

from app.core import ROOT
from app.core.migrations.config import target_metadata

PICTURE = ROOT / "docs" / "schema.md"
PAGE = """# The tables

`make schema` draws this from the models.

```mermaid
{graph}
```
"""


def draw() -> str:
    target_metadata()  # imports every model
    graph = get_graph_string(
        base_class_path="sqlmodel:SQLModel",
        import_module=[],
        include_tables=set(),
        exclude_tables=set(),
        python_dir=[],
        format="mermaid",
        column_sort="preserve-order",
    )
    return PAGE.format(graph="\n".join(line.rstrip() for line in graph.strip().splitlines()))


def main() -> int:
    page = draw()
    if "--check" not in sys.argv:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(page, encoding="utf-8")
        return 0
    if PICTURE.exists() and PICTURE.read_text("utf-8") == page:
        return 0
    print("docs/schema.md does not show the models as they are: make schema", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
