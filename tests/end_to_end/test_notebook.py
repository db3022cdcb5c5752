"""The notebook runs from start to end, and is kept without outputs."""

import ast
import json
import types

import pytest
import runs

from nets import ssd_vgg_300, ssd_vgg_512

NOTEBOOK = runs.ROOT / "notebooks" / "ssd_notebook.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text())["cells"]


def test_notebook_is_kept_small_and_without_outputs(cells):
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 8
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert NOTEBOOK.stat().st_size < 50_000


def test_notebook_uses_the_four_verbs(cells):
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert {"preprocess", "predict", "postprocess", "loss", "feature_maps"} <= names


@pytest.mark.parametrize("parameters", [ssd_vgg_300.PARAMETERS, ssd_vgg_512.PARAMETERS])
def test_notebook_has_a_place_for_every_layer_of_either_network(cells, parameters):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    (source,) = ("".join(c["source"]) for c in cells if "def layer_grid" in "".join(c["source"]))
    (function,) = (n for n in ast.parse(source).body if getattr(n, "name", "") == "layer_grid")
    names = {"plt": plt, "detector": types.SimpleNamespace(parameters=parameters)}
    exec(ast.unparse(function), names)
    assert len(names["layer_grid"]()) == len(parameters.layers)
    plt.close("all")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's packages, which are not ours to correct
def test_notebook_runs_from_start_to_end(trained_demo, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra dev is not installed")
    nbformat = pytest.importorskip("nbformat", reason="the extra dev is not installed")
    for name, value in {
        "SSD_CHECKPOINT": trained_demo / "train",
        "SSD_RECORDS": trained_demo / "tfrecords",
        "SSD_DATASET": "shapes",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "JUPYTER_RUNTIME_DIR": tmp_path,
        "IPYTHONDIR": tmp_path,
    }.items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    drawn = [out for out in outputs if "image/png" in out.get("data", {})]
    assert len(drawn) == 5
    assert len(nbformat.writes(notebook)) < 4_000_000
    text = "".join(out.get("text", "") for out in outputs)
    assert "detections" in text
