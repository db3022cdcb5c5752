"""Folders in object stores: those that TensorFlow does not know, and those that do not answer."""

import shutil
import subprocess

import pytest
import runs

from runtime.errors import InputError, is_outage

WITHOUT_NETWORK = ("unshare", "--net", "--user", "--map-root-user")
ONE_TRY = {
    "GOOGLE_AUTH_TOKEN_FOR_TESTING": "x",
    "NO_GCE_CHECK": "true",
    "GCS_RETRY_CONFIG_MAX_RETRIES": "1",
}


@pytest.mark.parametrize("flag", ["train_dir", "dataset_dir"])
def test_folder_that_needs_a_plugin_is_refused(capsys, flag):
    flags = {"train_dir": "run", "dataset_dir": "records", flag: "s3://bucket/folder"}
    given = [f"--{name}={value}" for name, value in flags.items()]
    said = runs.refuse("train_ssd_network.py", *given, capsys=capsys)
    assert f"--{flag}=s3://bucket/folder: s3:// needs a TensorFlow file-system plugin" in said


@pytest.mark.parametrize("flag", ["train_dir", "dataset_dir", "checkpoint_path"])
def test_store_that_does_not_answer_ends_a_run_with_75(records, tmp_path, flag):
    if not shutil.which("unshare") or subprocess.run([*WITHOUT_NETWORK, "true"]).returncode:
        pytest.skip("no network namespaces here")
    flags = runs.train_flags(records, tmp_path / "run", steps=2)
    done = subprocess.run(
        [
            *WITHOUT_NETWORK,
            *runs.command("train_ssd_network.py", *flags, f"--{flag}=gs://bucket/folder"),
        ],
        env={**runs.environment(), **ONE_TRY},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 75, done.stderr
    assert "an object store does not answer (" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("said", "outage"),
    [
        ("All 10 retry attempts failed. The last failure: HTTP response code 503", True),
        ("libcurl code 7 meaning 'Couldn't connect to server'", True),
        ("Error executing an HTTP request: HTTP response code 403", False),
    ],
)
def test_outage_is_told_from_other_errors_that_caused_a_refusal(said, outage):
    refusal = InputError("The folder cannot be written.")
    refusal.__cause__ = OSError(said)
    assert is_outage(refusal) is outage
