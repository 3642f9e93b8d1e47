"""The simulated blob storage, seen from outside: ranges, signatures, and the switches of a download."""

import http.client
import io
import socket
import struct
import time
import urllib.parse
import zipfile

import pytest

from dmf_client import VENDORS, fetch, fields, package, read_rows, sim


def test_ranges_are_served_as_azure_does(sim, package):
    url, whole, _ = package
    size = len(whole)
    answer = fetch(url)
    assert answer.status == 200 and answer.headers["Accept-Ranges"] == "bytes"
    assert int(answer.headers["Content-Length"]) == size
    cases = [
        ({"Range": "bytes=0-9"}, 0, 10),
        ({"Range": "bytes=100-"}, 100, size),
        ({"Range": f"bytes={size - 1}-{size + 500}"}, size - 1, size),
        ({"Range": "bytes=0-9", "x-ms-range": "bytes=20-29"}, 20, 30),
    ]
    for headers, first, end in cases:
        answer = fetch(url, headers=headers)
        assert answer.status == 206 and answer.body == whole[first:end], headers
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{size}"
    beyond = fetch(url, headers={"Range": f"bytes={size}-"})
    assert beyond.status == 416 and b"<Code>InvalidRange</Code>" in beyond.body
    assert fetch(url, headers={"Range": "lines=1-2"}).body == whole
    head = fetch(url, method="HEAD")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) == size
    assert sim.get("stats")["ranges_served"] == 4


def test_if_match_guards_a_resumed_download(sim, package):
    url, whole, _ = package
    etag = fetch(url).headers["ETag"]
    headers = {"If-Match": etag, "Range": "bytes=5-"}
    assert fetch(url, headers=headers).body == whole[5:]
    other = fetch(url, headers={"If-Match": '"0x0"', "Range": "bytes=5-"})
    assert other.status == 412 and other.headers["x-ms-error-code"] == "ConditionNotMet"


def test_signatures_are_checked_and_expire(sim, package):
    url, whole, execution = package
    for wrong in (url.replace("sig=", "sig=A"), url.split("?")[0], url.replace("&se=2", "&se=3")):
        answer = fetch(wrong)
        assert answer.status == 403 and answer.headers["x-ms-error-code"] == "AuthenticationFailed"
        assert answer.body.startswith(b"\xef\xbb\xbf<?xml")
    sim.switches(sas_expired_next=1)
    assert fetch(sim.url(execution)).status == 403
    assert fetch(sim.url(execution)).body == whole
    sim.switches(sas_seconds=1)
    url = sim.url(execution)
    end = time.monotonic() + 10
    while fetch(url).status != 403:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_forwarded_bearer_breaks_the_download_and_is_counted(sim, package):
    url, _, _ = package
    assert fetch(url, headers={"Authorization": f"Bearer {sim.token()}"}).status == 403
    assert sim.get("stats")["bearer_leaked"] == 1


def test_stats_count_requests_bytes_and_executions(sim, package):
    _, whole, _ = package
    end = time.monotonic() + 10
    while not (stats := sim.get("stats"))["downloads_completed"]:  # it may learn of the last byte later
        assert time.monotonic() < end
        time.sleep(0.01)
    assert stats["requests"]["ExportToPackage"] == {"200": 1}
    assert stats["requests"]["blob"] == {"200": 1} and stats["requests"]["token"] == {"200": 1}
    assert stats["bytes_served"] == len(whole) and stats["downloads_completed"] == 1
    assert stats["executions"]["Succeeded"] == 1 and stats["downloads"] == []
    assert stats["connections_open"] >= 1
    execution = sim.get("executions")[0]
    assert execution["package_bytes"] == len(whole) and execution["rows"] == {VENDORS: 500}


def test_stats_show_a_download_that_stands_still(sim):
    sim.records(60000, entity="Bench rows")
    sim.project(entities=["Bench rows"])
    execution, _ = sim.begin()
    assert sim.wait(execution) == "Succeeded"
    url = urllib.parse.urlsplit(sim.url(execution))
    stream = socket.create_connection(("127.0.0.1", sim.port))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    stream.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())

    def settled():
        end, last = time.monotonic() + 30, -1
        while time.monotonic() < end:
            downloads = sim.get("stats")["downloads"]
            if downloads and downloads[0]["sent"] == last:
                return downloads[0]
            last = downloads[0]["sent"] if downloads else -1
            time.sleep(0.3)
        raise AssertionError("the download moves on")

    before = settled()
    assert 0 < before["sent"] < before["length"] and before["execution"] == execution
    read = 0
    while read < 2_000_000:
        read += len(stream.recv(65536))
    assert settled()["sent"] > before["sent"]
    stream.close()
    end = time.monotonic() + 10
    while sim.get("stats")["downloads"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert sim.get("stats")["downloads_broken"] == 1


# ---------------------------------------------------------------- switches of the downloads


def test_blob_gone_and_busy(sim, package):
    url, whole, execution = package
    sim.switches(blob_503_next=1)
    answer = fetch(url)
    assert answer.status == 503 and b"<Code>ServerBusy</Code>" in answer.body
    sim.switches(blob_404_next=1)
    answer = fetch(url)
    assert answer.status == 404 and not answer.body and "x-ms-error-code" not in answer.headers
    assert fetch(url).body == whole
    sim.switches(blob_gone=True)
    answer = fetch(url)
    assert answer.status == 404 and b"<Code>BlobNotFound</Code>" in answer.body
    assert sim.status(execution).value == "Succeeded" and sim.url(execution)


def test_truncated_download_breaks_off_and_can_be_resumed(sim, package):
    url, whole, _ = package
    sim.switches(truncate_download_at=1000, truncate_next=1)
    with pytest.raises(http.client.IncompleteRead) as broken:
        fetch(url)
    assert broken.value.partial == whole[:1000]
    assert fetch(url, headers={"Range": "bytes=1000-"}).body == whole[1000:]
    assert fetch(url).body == whole


def test_slow_body(sim, package):
    url, whole, _ = package
    sim.switches(slow_body_bytes_per_s=len(whole))
    start = time.monotonic()
    assert fetch(url).body == whole
    assert 0.7 < time.monotonic() - start < 10


def test_no_ranges(sim, package):
    url, whole, _ = package
    sim.switches(no_ranges=True)
    answer = fetch(url, headers={"Range": "bytes=10-"})
    assert answer.status == 200 and answer.body == whole and answer.headers["Accept-Ranges"] is None


def test_url_http_and_redirect(sim, package):
    url, _, execution = package
    sim.switches(redirect_download_to="http://192.0.2.1/elsewhere")
    answer = fetch(url)
    assert answer.status == 302 and answer.headers["Location"] == "http://192.0.2.1/elsewhere"
    sim.switches(redirect_download_to="", url_http=True)
    split = urllib.parse.urlsplit(sim.url(execution))
    assert split.scheme == "http" and not split.hostname.startswith("127.")


def test_corrupt_and_truncated_zips(sim):
    sim.records(500)
    sim.project(mode="full")
    good = sim.export()
    sim.switches(corrupt_zip_next=1)
    corrupt = sim.export()
    assert len(corrupt) == len(good) and corrupt != good
    with zipfile.ZipFile(io.BytesIO(corrupt)) as archive:
        with pytest.raises((zipfile.BadZipFile, zipfile.zlib.error)):
            archive.read("Vendors V3.csv")
        archive.read("Manifest.xml")
    sim.switches(truncated_zip_next=1)
    cut = sim.export()
    assert good.startswith(cut) and 0 < len(cut) < len(good)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(cut))
    assert sim.export() == good


@pytest.mark.parametrize("descriptors", [False, True])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("level", [0, 6])
def test_shapes_of_the_zip(sim, tmp_path, descriptors, zip64, last, level):
    sim.records(2000)
    sim.project()
    sim.switches(data_descriptors=descriptors, force_zip64=zip64, manifest_last=last, level=level)
    package = sim.export()
    assert read_rows(package) == fields(sim.truth())
    flags = struct.unpack_from("<H", package, 6)[0]
    assert bool(flags & 8) == descriptors
    assert (b"PK\x06\x06" in package[-200:]) == zip64
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert (archive.namelist()[0] == "Vendors V3.csv") == last
        size = archive.infolist()[0 if last else 2].file_size
    assert (len(package) > size) == (level == 0)
