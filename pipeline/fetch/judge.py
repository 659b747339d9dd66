"""The answer for a picture: whether it may be kept, and what is written down of it."""

from filters.reasons import Drop, Reason
from pipeline.fetch.answers import Answer, Download, fact, now, plain
from pipeline.fetch.robots import check_opt_out
from pipeline.fetch.sites import Verdict
from pipeline.fetch.tdm import header_reserves


def judge(
    answer: Answer, verdict: Verdict, *, final_url: str | None, respect_opt_out: bool
) -> Download | Drop:
    """Return the picture with its facts, or why it may not be kept: its owner opts out, or it is none.

    `verdict` is what its site has said before; `final_url` where redirects led, None where there was none.
    """
    tags, tdm = (answer.headers.getall(name, []) for name in ("X-Robots-Tag", "TDM-Reservation"))
    if respect_opt_out and (drop := check_opt_out(tags) or _check_reserved(tdm, verdict)):
        return drop
    if answer.status != 200:
        return Drop(Reason.HTTP_ERROR, f"status {answer.status}")
    seen = [f"X-Robots-Tag: {tag}" for tag in tags] + [f"TDM-Reservation: {value}" for value in tdm]
    if verdict.reserved is not None:
        seen.append(f"tdmrep.json: {int(verdict.reserved)}")
    return Download(
        body=answer.body,
        http_status=answer.status,
        etag=fact(answer.headers, "ETag"),
        last_modified=fact(answer.headers, "Last-Modified"),
        final_url=final_url,
        robots=verdict.robots,
        opt_out=plain("; ".join(seen)) if seen else None,
        fetched_at=now(),
    )


def _check_reserved(tdm: list[str], verdict: Verdict) -> Drop | None:
    """The header of the answer has the last word, the site's file speaks where there is none."""
    reserved = header_reserves(tdm)
    if reserved or (reserved is None and verdict.reserved):
        where = "its header" if reserved else "tdmrep.json"
        return Drop(Reason.OPTED_OUT, f"TDM-Reservation: 1 in {where}")
    return None
