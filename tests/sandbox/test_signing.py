"""Bodies and signatures are Meta's, to the byte."""

from sandbox.signing import SIGNATURE_HEADER, encode, sign, signature_headers

SECRET = "test-secret"
DOCUMENT = {
    "object": "page",
    "entry": [
        {
            "id": "1",
            "time": 1790000000123,
            "messaging": [{"message": {"mid": "m_1", "text": "café 😀"}}],
        }
    ],
}
BODY = (
    rb'{"object":"page","entry":[{"id":"1","time":1790000000123,'
    rb'"messaging":[{"message":{"mid":"m_1","text":"caf\u00e9 \ud83d\ude00"}}]}]}'
)
SIGNATURE = "sha256=c9fdf30bf6498259b4885e79272b105deac3d9d66c443ae0e5b4959749ec7c27"


def test_the_known_vector() -> None:
    assert encode(DOCUMENT) == BODY
    assert sign(SECRET, BODY) == SIGNATURE
    assert signature_headers("valid", SECRET, BODY) == {SIGNATURE_HEADER: SIGNATURE}


def test_slashes_umlauts_and_controls_are_escaped() -> None:
    assert encode({"u": "https://ä.example/ö"}) == rb'{"u":"https:\/\/\u00e4.example\/\u00f6"}'
    assert encode({"t": 'a"\\\n\x00'}) == rb'{"t":"a\"\\\n\u0000"}'


def test_a_lone_surrogate_can_travel() -> None:
    assert encode({"t": "\ud83d"}) == rb'{"t":"\ud83d"}'


def test_a_forgery_differs_from_the_truth_and_from_the_last_one() -> None:
    forged = [signature_headers("forged", SECRET, BODY)[SIGNATURE_HEADER] for _ in range(2)]
    assert len({*forged, SIGNATURE}) == 3
    assert all(len(value) == len(SIGNATURE) for value in forged)
    assert signature_headers("none", SECRET, BODY) == {}
