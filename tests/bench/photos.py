"""Thousands of distinct photos for benchmarks, and an nginx on localhost that serves them.

Each photo is a crop of a mosaic of real phone photos (shared data, groceries) at their own resolution, so
that its JPEG holds as much detail per pixel as a camera's. JPEG, 4:2:0, baseline, quality 85.
"""

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

GROCERY = Path(__file__).parents[3] / "shared/data/pairs/grocery/images"
TILE_PX = 340
HOST = "photos.test"

CONFIG = """
worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; keepalive_timeout {keepalive_s}; types {{ image/jpeg jpg; }}
  server {{
    listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; root {root};
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_session_cache off;
  }}
}}
"""


def make_photos(folder: Path, number: int, width: int, height: int) -> list[Path]:
    """Write so many distinct photos of a size, those that are not there yet; return their paths."""
    sources = sorted(path for path in GROCERY.rglob("*.jpg"))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05}.jpg" for index in range(number)]
    tiles: dict[Path, Image.Image] = {}
    for index, path in enumerate(paths):
        if not path.exists():
            rng = random.Random(f"{index} {width}")
            _mosaic(rng, sources, tiles, width, height).save(path, quality=85)
    return paths


def _mosaic(
    rng: random.Random, sources: list[Path], tiles: dict[Path, Image.Image], width: int, height: int
) -> Image.Image:
    canvas = Image.new("RGB", (width, height))
    left, top = -rng.randrange(TILE_PX // 2), -rng.randrange(TILE_PX // 2)
    for y in range(top, height, TILE_PX):
        for x in range(left, width, TILE_PX):
            source = rng.choice(sources)
            if source not in tiles:
                tiles[source] = Image.open(source).convert("RGB")
            canvas.paste(tiles[source], (x, y))
    return canvas


@dataclass(frozen=True)
class Served:
    """Where a folder is served."""

    http: int
    https: int
    certificates: Path  # all that the system trusts, and the server's own


@contextmanager
def nginx_serving(root: Path, folder: Path, keepalive_s: int = 0) -> Iterator[Served]:
    """Serve `root` by HTTP and HTTPS while the body runs; `folder` takes its files.

    At keepalive_s 0 every request needs a connection of its own, as on a web where each picture lies on
    another host. Raises FileNotFoundError where nginx or openssl is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    http, https = _free_port(), _free_port()
    certificates = _make_certificate(folder)
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(folder=folder, root=root, http=http, https=https, keepalive_s=keepalive_s)
    )
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    server = subprocess.Popen([nginx, "-p", str(folder), "-c", str(config), "-g", "daemon off; user root;"])
    try:
        _wait_for(http)
        yield Served(http, https, certificates)
    finally:
        server.terminate()
        server.wait()


def _make_certificate(folder: Path) -> Path:
    names = f"subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={HOST}",
    ]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-addext", names]
    subprocess.run([*command, *files], check=True, capture_output=True)
    bundle = folder / "bundle.pem"
    system = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    bundle.write_text(system.read_text() + (folder / "cert.pem").read_text())
    return bundle


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nginx does not answer on port {port}")
