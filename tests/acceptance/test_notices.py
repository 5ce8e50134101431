"""Notices as an operator meets them: listed, handed to a log, a file and a webhook, failed and retried."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from running import Site, change, make_site, running


class Hook(ThreadingHTTPServer):
    """A receiver of notices that answers with `status` and keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.received: list[tuple[dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a notice to M1 and, because nothing has served for an hour, an outage to be told."""
    made = make_site(tmp_path / "site")
    made.add_meters("M1", "M2")
    content = json.dumps({"restored_s": 1_730_226_600})
    change(
        made.store,
        "INSERT INTO notice (kind, meter_key, region, at_s, content)"
        f" VALUES ('RESTORED', 1, 'R1', unixepoch(), '{content}')",
        "INSERT INTO heartbeat (heartbeat_id, at_s, stopped) VALUES (1, unixepoch() - 3600, 0)",
    )
    return made


def webhook_settings(site: Site, hook: Hook, key: str = "k" * 32) -> dict[str, str]:
    path = site.folder / "webhook.key"
    path.write_text(key)
    path.chmod(0o600)
    return {"HEADEND_NOTICE_WEBHOOK": hook.url, "HEADEND_NOTICE_WEBHOOK_KEY_FILE": str(path)}


def states(site: Site, *words: str) -> list[tuple[str, list[tuple[str, str]]]]:
    rows = site.good("notices", "list", *words, "--json").json()
    return [(row["kind"], [(sink["sink"], sink["state"]) for sink in row["sinks"]]) for row in rows]


def test_notify_hands_each_notice_to_every_sink_once(site: Site, hook: Hook) -> None:
    file = site.folder / "notices.jsonl"
    settings = webhook_settings(site, hook) | {"HEADEND_NOTICE_FILE": str(file)}
    first = site.good("notify", "--once", **settings)
    again = site.good("notify", "--once", **settings)
    assert "6 delivered, 0 failed" in first.output
    assert "0 delivered, 0 failed" in again.output
    logged = [line for line in first.complaint.splitlines() if " notice " in line]
    assert len(logged) == 2
    assert "the supply was restored" in logged[0]
    assert "has a fault since" in logged[1]
    assert [json.loads(line)["kind"] for line in file.read_text().splitlines()] == ["RESTORED", "OUTAGE"]
    assert sorted(content["id"] for _, content in hook.received) == [1, 2]
    assert all(headers["Headend-Signature"].startswith("t=") for headers, _ in hook.received)
    everywhere = [("file", "DELIVERED"), ("log", "DELIVERED"), ("webhook", "DELIVERED")]
    assert states(site) == [("RESTORED", everywhere), ("OUTAGE", everywhere)]


def test_failed_notice_is_listed_and_retried(site: Site, hook: Hook) -> None:
    settings = webhook_settings(site, hook) | {"HEADEND_NOTICE_LOG": "false"}
    hook.status = 404
    assert "2 failed" in site.good("notify", "--once", **settings).output
    assert states(site, "--failed") == [("RESTORED", [("webhook", "FAILED")]), ("OUTAGE", [("webhook", "FAILED")])]
    assert states(site, "M2", "--failed") == [("OUTAGE", [("webhook", "FAILED")])]
    assert "webhook FAILED (1x: HTTP status 404)" in site.good("notices", "list").output
    assert site.good("notices", "retry", "--sink", "log").output == "0 notices wait again\n"
    assert site.good("notices", "retry").output == "2 notices wait again\n"
    assert len(states(site, "--waiting")) == 2
    hook.status = 200
    assert "2 delivered" in site.good("notify", "--once", **settings).output
    assert states(site, "--failed") == []


def test_webhook_out_of_order_leaves_its_notices_waiting(site: Site, hook: Hook) -> None:
    settings = webhook_settings(site, hook)
    hook.status = 503
    done = site.good("notify", "--once", **settings)
    assert "2 delivered, 0 failed, 2 to be tried again" in done.output
    assert states(site, "--waiting") == [
        (kind, [("log", "DELIVERED"), ("webhook", "WAITING")]) for kind in ("RESTORED", "OUTAGE")
    ]


def test_notices_are_listed_before_anybody_took_them_up(site: Site) -> None:
    assert states(site, "M1") == [("RESTORED", [])]
    assert states(site, "M1", "--waiting") == [("RESTORED", [])]
    assert states(site, "M2") == []
    assert "not taken up by any sink" in site.good("notices", "list").output


def test_running_notify_takes_up_what_comes_and_stops_in_good_order(site: Site) -> None:
    with running(site, "headend", "notify") as notify:
        notify.wait_for("notify ready")
        notify.wait_for("the supply was restored")
        notify.wait_for("has a fault since")
        second = site.headend("notify", "--once")
        assert second.status == 5
        assert "another headend notify works on" in second.complaint
        assert notify.ask_to_stop() == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"HEADEND_NOTICE_LOG": "false"}, "no sink is configured"),
        ({"HEADEND_NOTICE_WEBHOOK": "https://example.org/"}, "needs notice_webhook_key_file"),
        ({"HEADEND_NOTICE_WEBHOOK": "http://example.org/"}, "https, or with http on the loopback"),
        ({"HEADEND_NOTICE_WEBHOOK": "https://me:secret@example.org/"}, "no user and password"),
        ({"HEADEND_NOTICE_WEBHOOK": "https://example.org:port/"}, "notice_webhook"),
        ({"HEADEND_NOTICE_WEBHOOK": "ftp://example.org/"}, "https"),
    ],
)
def test_bad_setting_is_said_in_one_line(site: Site, settings: dict[str, str], complaint: str) -> None:
    done = site.headend("notify", "--once", **settings)
    assert done.status == 2
    assert complaint in done.complaint
    assert "secret" not in done.complaint
    assert done.complaint.count("\n") == 1


def test_key_that_others_may_read_is_refused(site: Site, hook: Hook) -> None:
    settings = webhook_settings(site, hook)
    Path(settings["HEADEND_NOTICE_WEBHOOK_KEY_FILE"]).chmod(0o644)
    done = site.headend("notify", "--once", **settings)
    assert done.status == 2
    assert "chmod 600" in done.complaint
    assert "k" * 32 not in done.complaint


def test_unknown_meter_and_sink_are_named(site: Site) -> None:
    assert "M9 is not registered" in site.headend("notices", "list", "M9").complaint
    assert "'fax' is no sink" in site.headend("notices", "retry", "--sink", "fax").complaint
    assert site.headend("notices", "list", "--waiting", "--failed").status == 2
