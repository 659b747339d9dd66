"""cc2dataset's own extraction function, run once per line of input, in .venv-peers (see wat.py).

Its module imports Spark for the rest of its work; that import alone is answered with an empty module, which
the function never touches.
"""

import io
import json
import sys
import time
import types
from pathlib import Path

for name in ("pyspark", "pyspark.sql", "pyspark.sql.functions"):
    sys.modules[name] = types.ModuleType(name)
for place, name in (
    ("pyspark", "SparkContext"),
    ("pyspark.sql", "SparkSession"),
    ("pyspark.sql.functions", "rand"),
):
    setattr(sys.modules[place], name, None)

from cc2dataset.main import extract_documents_from_wat  # noqa: E402  # after the stand-ins

content = Path(sys.argv[1]).read_bytes()
for _ in sys.stdin:
    started = time.process_time()
    rows = extract_documents_from_wat(io.BytesIO(content), "image")
    seconds = time.process_time() - started
    print(json.dumps({"cpu_s": seconds, "num_rows": len(rows)}), flush=True)
    Path(sys.argv[2]).write_text(
        json.dumps(sorted({(row["url"], row["alt"], row["page_url"]) for row in rows}))
    )
