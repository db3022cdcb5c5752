"""The notebook runs from start to end, and is kept without outputs."""

import ast
import json

import pytest
import runs

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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's packages, which are not ours to mend
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
