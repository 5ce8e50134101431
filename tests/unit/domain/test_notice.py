"""Every kind of notice has a sentence, and it says what matters."""

from headend.domain.notice import NoticeKind, notice_text

CONTENT = {
    "balance_micros": -12_340_000,
    "as_of_s": 100,
    "provisional": True,
    "level_micros": 50_000_000,
    "emergency_left_micros": 5_000_000,
    "cut_at_s": 200,
    "cut_s": 300,
    "reason": "no credit",
    "restored_s": 400,
    "amount_micros": 500_000_000,
    "reference": "PAY-1",
    "began_s": 500,
    "ended_s": 600,
}

SAID = {
    NoticeKind.LOW_BALANCE: ("Rs -12.34", "at 100", "provisional", "Rs 50.00"),
    NoticeKind.ZERO_BALANCE: ("Rs -12.34", "at 100", "provisional"),
    NoticeKind.EMERGENCY_CREDIT: ("Rs -12.34", "Rs 5.00 of it left"),
    NoticeKind.CUT_ANNOUNCED: ("at 200",),
    NoticeKind.CUT: ("at 300", "no credit"),
    NoticeKind.RESTORED: ("at 400",),
    NoticeKind.RECHARGE_RECEIVED: ("Rs 500.00", "PAY-1"),
    NoticeKind.OUTAGE: ("at 500",),
    NoticeKind.OUTAGE_ENDED: ("at 600",),
}


def test_every_kind_says_what_matters() -> None:
    assert SAID.keys() == set(NoticeKind)
    for kind, words in SAID.items():
        text = notice_text(kind, CONTENT, lambda at_s: f"at {at_s}")
        assert [word for word in words if word not in text] == [], text


def test_exact_balance_is_not_called_provisional() -> None:
    text = notice_text(NoticeKind.ZERO_BALANCE, CONTENT | {"provisional": False}, str)
    assert "provisional" not in text
