"""Publishing to a real S3 server on loopback (moto), through s3fs as everyone uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request

import boto3
import pytest
from moto.server import ThreadedMotoServer

from glide_eval.errors import RunError, StorageError
from glide_eval.files import FarEnd, pull, push
from tests.fakes import make_fake_run
from tests.glide_eval.test_publish import KILLED, digests

URL = "s3://bucket/a/run"


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """An empty bucket; everything that could lead elsewhere is unset."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    told = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "ann",
        "AWS_SECRET_ACCESS_KEY": "sesame",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    post(server, "reset")
    boto3.client("s3").create_bucket(Bucket="bucket")
    # s3fs keeps connections by their arguments, and these don't tell the environment.
    monkeypatch.setattr("fsspec.config.conf", {"s3": {"skip_instance_cache": True}})
    return server


def post(server: str, what: str, content: bytes = b"") -> None:
    told = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{server}/moto-api/{what}", content, told, method="POST")
    urllib.request.urlopen(request).close()


def keys() -> dict[str, int]:
    found = boto3.client("s3").list_objects_v2(Bucket="bucket").get("Contents", [])
    return {item["Key"]: item["Size"] for item in found}


@pytest.fixture
def run(tmp_path):
    return make_fake_run(tmp_path / "run", 2, size=16)


@pytest.mark.parametrize("images", ["files", "tar"])
def test_a_run_in_a_bucket_comes_back_byte_for_byte(bucket, run, tmp_path, images):
    sent = push(run, FarEnd(URL), images=images)
    assert len(keys()) == sent.files + 1, "and the listing"
    assert pull(FarEnd(URL), tmp_path / "back").files == sent.files
    ours, back = digests(run.root), digests(tmp_path / "back")
    assert {name: digest for name, digest in back.items() if name in ours} == ours
    assert push(run, FarEnd(URL), images=images).files == 0


def killed(*arguments) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_is_killed_half_way_goes_on(bucket, run, tmp_path):
    killed("push", run.root, URL)
    with pytest.raises(RunError, match="unfinished push"):
        pull(FarEnd(URL), tmp_path / "back")
    assert push(run, FarEnd(URL)).there == 3
    killed("pull", tmp_path / "back", URL)
    assert pull(FarEnd(URL), tmp_path / "back").there == 3
    assert digests(tmp_path / "back").items() >= digests(run.root).items()


def test_a_bucket_that_is_not_there_is_not_made(bucket, run):
    with pytest.raises(StorageError, match="s3://nobodys/run"):
        push(run, FarEnd("s3://nobodys/run"))
    assert [each["Name"] for each in boto3.client("s3").list_buckets()["Buckets"]] == ["bucket"]


def test_a_bucket_without_rights_is_named(bucket, run, tmp_path):
    post(bucket, "reset-auth", b"0")  # from now on nobody has any
    try:
        for work in (lambda: push(run, FarEnd(URL)), lambda: pull(FarEnd(URL), tmp_path / "back")):
            with pytest.raises(StorageError, match=rf"{URL} .*credentials and rights") as error:
                work()
            assert "sesame" not in str(error.value)
    finally:
        post(bucket, "reset-auth", b"inf")


def test_without_credentials_the_message_asks_for_them(bucket, run, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"NoCredentials.* your credentials"):
        push(run, FarEnd(URL))


def test_what_others_keep_in_a_bucket_is_left_alone(bucket, run, tmp_path):
    boto3.client("s3").put_object(Bucket="bucket", Key="a/run/thesis.tex", Body=b"mine")
    with pytest.raises(RunError, match="no published run"):
        push(run, FarEnd(URL))
    with pytest.raises(RunError, match="is no published run"):
        pull(FarEnd(URL), tmp_path / "back")
    assert keys() == {"a/run/thesis.tex": 4}
