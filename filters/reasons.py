"""Every way a record can be dropped, and the one shape in which a check says so.

Names are permanent: they stand in manifests of datasets that people have published.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a record was dropped. Grouped by the stage that says so; the first reason found wins."""

    # crawl: what a source answered could not become a candidate
    SOURCE_ERROR = "source_error"
    # match
    URL_INVALID = "url_invalid"
    URL_BLOCKED = "url_blocked"
    TAKEN_DOWN = "taken_down"  # also at any later stage, and of a finished dataset; see reject in records
    NO_QUERY = "no_query"
    # text
    CAPTION_TOO_SHORT = "caption_too_short"
    CAPTION_TOO_LONG = "caption_too_long"
    CAPTION_FEW_LETTERS = "caption_few_letters"
    CAPTION_FILE_NAME = "caption_file_name"
    CAPTION_BOILERPLATE = "caption_boilerplate"
    CAPTION_UNSAFE = "caption_unsafe"
    CAPTION_LANGUAGE = "caption_language"
    CAPTION_PERSONAL_DATA = "caption_personal_data"
    CAPTION_TOXIC = "caption_toxic"
    CAPTION_MARKUP = "caption_markup"
    CAPTION_MOJIBAKE = "caption_mojibake"
    CAPTION_REPEATED_WORDS = "caption_repeated_words"
    CAPTION_IN_EVALUATION_SET = "caption_in_evaluation_set"
    # distinct
    DUPLICATE_PAIR = "duplicate_pair"
    DUPLICATE_URL = "duplicate_url"
    CAPTION_COMMON = "caption_common"
    KNOWN_URL = "known_url"
    # cap, final_cap
    OVER_CAP = "over_cap"
    # fetch
    ADDRESS_NOT_PUBLIC = "address_not_public"
    ROBOTS_DISALLOWED = "robots_disallowed"
    OPTED_OUT = "opted_out"
    PORT_REFUSED = "port_refused"
    NAME_NOT_RESOLVED = "name_not_resolved"
    HOST_DOWN = "host_down"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    RATE_LIMITED = "rate_limited"
    HTTP_ERROR = "http_error"
    TOO_MANY_BYTES = "too_many_bytes"
    ANSWER_MALFORMED = "answer_malformed"
    ANSWER_CUT_SHORT = "answer_cut_short"
    HASH_MISMATCH = "hash_mismatch"
    PICTURE_BLOCKED = "picture_blocked"
    # image
    NOT_AN_IMAGE = "not_an_image"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_NO_WHITE = "image_no_white"
    IMAGE_TOO_MUCH_MEMORY = "image_too_much_memory"
    IMAGE_TOO_SLOW = "image_too_slow"
    DECODER_CRASHED = "decoder_crashed"
    IMAGE_TOO_MANY_PIXELS = "image_too_many_pixels"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_EXTREME_ASPECT = "image_extreme_aspect"
    IMAGE_FLAT = "image_flat"
    # score
    IMAGE_SCORE = "image_score"
    # dedup
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    IN_EVALUATION_SET = "in_evaluation_set"


@dataclass(frozen=True, slots=True)
class Drop:
    """A verdict against a record: the reason, and the measurement that broke its limit.

    >>> str(Drop(Reason.IMAGE_TOO_SMALL, "shorter side 63 px < 64 px"))
    'image_too_small: shorter side 63 px < 64 px'
    """

    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
