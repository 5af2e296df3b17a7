"""The picture of the API's figures."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.load import Result

# Okabe and Ito's colours, which nearly everybody can tell apart.
COLOURS = {"constant": "#999999", "raw": "#56B4E9", "template": "#D55E00"}
LABELS = {"constant": "FastAPI, no database", "raw": "psycopg on Starlette", "template": "template"}

Measured = dict[str, Result]


def draw(
    path: Path, references: Measured, clients: Measured, rows: Measured, workers: Measured
) -> None:
    mpl.rcParams.update({"svg.hashsalt": "api", "font.size": 9, "axes.spines.top": False})
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    bars(axes[0][0], references, "rate", "answers a second")
    bars(axes[0][1], references, "p99", "p99, milliseconds")
    handles, labels = axes[0][0].get_legend_handles_labels()
    axes[0][2].axis("off")
    axes[0][2].legend(
        handles, labels, loc="upper left", frameon=False, title="PostgreSQL, 32 clients"
    )
    for axis, title, series in (
        (axes[1][0], "clients", {"GET one": clients}),
        (
            axes[1][1],
            "rows",
            {
                label: {n.split()[0]: r for n, r in rows.items() if n.endswith(kind)}
                for kind, label in (("get", "GET one"), ("deepest", "deepest page"))
            },
        ),
        (axes[1][2], "workers", {"GET one": workers}),
    ):
        growth(axis, title, series)
    figure.savefig(path, metadata={"Date": None})


def bars(axis: Axes, measured: Measured, field: str, label: str) -> None:
    kinds = {"get": "GET one", "page": "page of 20", "post": "POST"}
    for number, (name, colour) in enumerate(COLOURS.items()):
        values = [getattr(measured[f"{name} {kind}"], field) for kind in kinds]
        places = [place + (number - 1) * 0.27 for place in range(len(kinds))]
        axis.bar(places, values, 0.25, color=colour, label=LABELS[name])
    axis.set_xticks(range(len(kinds)), list(kinds.values()))
    axis.set_title(label, loc="left")


def growth(axis: Axes, title: str, series: dict[str, Measured]) -> None:
    for (label, measured), style in zip(series.items(), ("o-", "s--"), strict=False):
        names = [f"{int(name):,}".replace(",", " ") for name in measured]
        axis.plot(names, [r.rate for r in measured.values()], style, color="#D55E00", label=label)
        axis.plot(
            names,
            [r.p99 for r in measured.values()],
            style,
            color="#0072B2",
            label=f"{label}, p99 ms",
        )
    axis.set_yscale("log")
    axis.set_xlabel(title)
    axis.set_title("answers a second, and p99 in ms", loc="left")
    axis.legend(frameon=False, fontsize=7)
