"""The search page's server against people who mean harm: it answers, or says no, and stays as it is."""

import asyncio
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.fakes import make_dataset, make_picture
from tests.tiny_search import make_index, png, serving
from train.search.searcher import Searcher
from train.search.server.guard import HEADERS, MAX_CLIENTS, Rate
from train.search.server.settings import ServeSettings

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
NEVER_SLOW = {"queries_per_s": 10_000.0}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """An index of eight shapes, two of them called unsafe, one with a script as its caption."""
    root = tmp_path_factory.mktemp("search")
    captions = [SCRIPT, *(f"shape {number}" for number in range(5))]
    fine = make_dataset(root / "fine", num_pairs=6, captions=captions, name=SCRIPT)
    unsafe = make_dataset(root / "unsafe", num_pairs=2, overrides={"scores": [("nsfw", 1.0)]})
    return make_index(root, fine, unsafe)


@pytest.fixture(scope="module")
def port(searcher: Searcher) -> Iterator[int]:
    """Where its page is served, to clients that may ask as often as they want."""
    with serving(searcher, **NEVER_SLOW) as port:
        yield port


Answer = tuple[int, dict[str, str], bytes]


def ask(port: int, path: str, body: bytes | None = None, /, **headers: str) -> Answer:
    """Send one request as it is, and return the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET" if body is None else "POST", path, skip_host="Host" in headers)
    sent = {"Connection": "close"} | headers | ({} if body is None else {"Content-Length": str(len(body))})
    for name, value in sent.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def found(answer: Answer) -> list[dict[str, object]]:
    assert answer[0] == 200, answer
    results: list[dict[str, object]] = json.loads(answer[2])["results"]
    return results


def test_words_a_picture_and_an_indexed_picture_find_pictures(port: int) -> None:
    assert len(found(ask(port, "/search?q=shape&num=4"))) == 4
    best = found(ask(port, "/search", make_picture(3)))[0]
    assert best["caption"] == "shape 2"
    assert found(ask(port, f"/search?like={best['id']}"))[0]["id"] == best["id"]
    assert ask(port, f"/picture/{best['id']}")[2] == make_picture(3)
    assert ask(port, f"/thumbnail/{best['id']}")[1]["Content-Type"] == "image/jpeg"


def test_nothing_asked_for_shows_some_of_all(port: int) -> None:
    assert {hit["caption"] for hit in found(ask(port, "/search"))} >= {"shape 0", "shape 4"}


TRAVERSALS = [
    "/picture/../../../../etc/passwd",
    "/picture/..%2f..%2f..%2fetc%2fpasswd",
    "/thumbnail/%2e%2e/%2e%2e/index.json",
    "/picture/0-0/../../index.json",
    "/picture/shards%2f00000.tar",
    "/picture/0-0%00.jpg",
    "/picture/999999999-1048575",
    "/picture/-1-0",
    "/picture/0-99",
    "/thumbnail/%D9%A3-%D9%A0",  # digits, but not ours
    "/why/..%5c..%5cindex.json",
    "/page.css/../../app.py",
    "//etc/passwd",
    "/static/../settings.py",
    "/model/checkpoints/latest",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out_of_the_index(port: int, path: str) -> None:
    status, _, body = ask(port, path)
    assert status in (400, 404)
    assert b"root:" not in body and b"next_part" not in body and b"import " not in body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost:81"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate"}, 403),
    ],
)
def test_only_this_page_under_a_known_name_is_answered(
    port: int, headers: dict[str, str], status: int
) -> None:
    assert ask(port, "/search?q=red", **headers)[0] == status


def test_a_link_of_another_page_may_open_the_page_itself(port: int) -> None:
    assert ask(port, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


def test_names_are_known_by_settings(searcher: Searcher) -> None:
    with serving(searcher, name=("pictures.example",)) as port:
        assert ask(port, "/search", Host="pictures.example")[0] == 200
        assert ask(port, "/search", Host="other.example")[0] == 403


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/search?q=a", "/picture/0-0", "/why/0-0", "/nothing", "/picture/9-9"]
)
def test_every_answer_has_the_headers_that_shut_it_in(port: int, path: str) -> None:
    headers = ask(port, path)[1]
    assert set(HEADERS) <= set(headers)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"] or path.startswith("/why/")
    assert not any(name.lower().startswith("access-control") for name in headers)


def test_scripts_in_captions_are_text_wherever_they_are_shown(port: int) -> None:
    [hit] = [hit for hit in found(ask(port, "/search?q=a")) if hit["caption"] == SCRIPT]
    _, headers, page = ask(port, f"/why/{hit['id']}")
    assert headers["Content-Type"].startswith("text/html")
    assert b"<script" not in page and b"onerror=alert" not in page.replace(b"&lt;img src=x onerror", b"")
    assert b"&lt;script&gt;" in page
    assert ask(port, f"/search?q={SCRIPT.replace(' ', '+')}")[1]["Content-Type"].startswith(
        "application/json"
    )


def test_why_tells_the_provenance(port: int, searcher: Searcher) -> None:
    best = found(ask(port, "/search", make_picture(3)))[0]
    page = ask(port, f"/why/{best['id']}")[2].decode()
    row = searcher.parts.all[0].row(3)
    for told in (row["url"], row["page_url"], "language score", "match", "Copies dropped in its stead"):
        assert told in page


def test_unsafe_pictures_are_hidden_by_id_too(port: int, searcher: Searcher) -> None:
    assert len(found(ask(port, "/search?q=a"))) == 6
    number = next(part.number for part in searcher.parts.all if part.unsafe.any())
    for path in (f"/thumbnail/{number}-0", f"/picture/{number}-0", f"/why/{number}-0"):
        assert ask(port, path)[0] == 404
    assert ask(port, f"/search?like={number}-0")[0] == 400
    with serving(searcher, show_unsafe=True) as open_port:
        assert len(found(ask(open_port, "/search?q=a"))) == 8
        assert ask(open_port, f"/picture/{number}-0")[0] == 200


def bomb() -> bytes:
    """Return a small PNG of 60,000 x 60,000 px."""
    data = png(10, 10)
    head = b"IHDR" + (60_000).to_bytes(4) * 2 + data[24:29]
    return data[:12] + head + zlib.crc32(head).to_bytes(4) + data[33:]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),  # as no question: some of all
        (b"no picture", 400),
        (b"<svg onload=alert(1)/>", 400),
        (make_picture(1)[:500], 400),
        (bomb(), 400),
        (b"\xff\xd8" + b"\xff" * 100_000, 400),
        (png(40, 40) + b"x" * (10 << 20), 413),
    ],
)
def test_a_picture_to_search_by_is_taken_or_refused(port: int, body: bytes, status: int) -> None:
    assert ask(port, "/search", body)[0] == status


@pytest.mark.parametrize(
    "path",
    [
        "?num=x",
        "?q=" + "x" * 1_500,
        "?q=a&weight=nan",
        "?q=a&weight=7",
        "?like=../x",
        "?minus=a",
        "?q=a&weight=x",
    ],
)
def test_a_question_that_is_none_is_refused_in_a_line(port: int, path: str) -> None:
    status, _, body = ask(port, f"/search{path}")
    assert status == 400
    assert len(json.loads(body)["error"].splitlines()) == 1


def test_the_number_of_results_has_a_bound(port: int) -> None:
    assert len(found(ask(port, "/search?q=a&num=1000000000000000000000"))) == 6
    assert len(found(ask(port, "/search?q=a&num=-5"))) == 1


def test_a_client_that_asks_too_often_waits(searcher: Searcher) -> None:
    with serving(searcher, queries_per_s=0.01) as port:
        answers = [ask(port, "/search?q=a") for _ in range(22)]
    assert [answer[0] for answer in answers] == [200] * 20 + [429] * 2
    assert int(answers[-1][1]["Retry-After"]) > 50


def test_rates_come_back_with_time_and_of_old_clients_nothing_is_kept() -> None:
    rate = Rate(2.0, 2)
    assert [rate.seconds_to_wait("a", 7.0) for _ in range(3)] == [0, 0, 0.5]
    assert rate.seconds_to_wait("b", 7.0) == 0
    assert [rate.seconds_to_wait("a", 7.5) for _ in range(2)] == [0, 0.5]
    for client in range(2 * MAX_CLIENTS):
        rate.seconds_to_wait(str(client), 8.0)
    assert len(rate._left) == MAX_CLIENTS


async def flood(port: int, num: int, body: bytes | None = None) -> Counter[int]:
    """Ask so many questions at the same time, and return how often which status was the answer."""
    address = f"http://127.0.0.1:{port}/search?q=a+red+square"

    async def one(session: aiohttp.ClientSession) -> int:
        try:
            async with session.request(
                "POST" if body else "GET", address, data=body and io.BytesIO(body)
            ) as response:
                await response.read()
                return response.status
        except aiohttp.ClientError:  # an answer came before all of the picture was sent
            return 0

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return Counter(await asyncio.gather(*(one(session) for _ in range(num))))


@pytest.fixture(scope="module")
def process(searcher: Searcher) -> Iterator[tuple[int, int]]:
    """The page as a process of its own, by its id and its port."""
    command = [sys.executable, "-m", "train", "search", "serve", str(searcher.folder), "--port", "0"]
    with subprocess.Popen(
        [*command, "--queries-per-s", "10000"], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line.startswith("search page: http://127.0.0.1:"), line
        yield started.pid, int(line.rsplit(":", 1)[1])
        started.send_signal(signal.SIGINT)
        assert started.wait(60) == 0


def most_mb(process: int) -> float:
    """Return the largest resident set that a process has had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def test_a_thousand_questions_at_once_do_no_harm(process: tuple[int, int]) -> None:
    number, port = process
    ask(port, "/search?q=a")
    before_mb = most_mb(number)
    statuses = asyncio.run(flood(port, 1_000))
    assert set(statuses) <= {200, 429, 503}
    assert statuses[200] >= 20
    assert most_mb(number) - before_mb < 100
    assert ask(port, "/search?q=a")[0] == 200


def test_many_large_pictures_at_once_take_little_memory(process: tuple[int, int]) -> None:
    number, port = process
    before_mb = most_mb(number)
    statuses = asyncio.run(flood(port, 60, make_picture(1) + bytes(9 << 20)))
    assert statuses[503] + statuses[0] > 0
    assert most_mb(number) - before_mb < 250  # of 540
    assert ask(port, "/search?q=a")[0] == 200


def test_broken_requests_end_with_a_line_and_leave_the_server_as_it_is(port: int) -> None:
    for sent in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01" * 50,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(sent)
            answer = connection.recv(1_000)
        assert answer == b"" or answer.startswith(b"HTTP/1.")
        assert b" 200 " not in answer[:20]
    assert ask(port, "/search?q=a")[0] == 200


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"host": "pictures.example"}, {"max_queries": 0}, {"queries_per_s": 0.0}]
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Next: "):
        ServeSettings(index=tmp_path, **wrong)  # type: ignore[arg-type]


def test_who_lets_others_in_is_told() -> None:
    assert "no password" in str(ServeSettings(index=Path(), host="0.0.0.0").warning())
    assert ServeSettings(index=Path(), host="::1").warning() is None
