"""WWW-Authenticate headers as registries really send them."""

from __future__ import annotations

import pytest

from runtime.images.registry.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
            Challenge(scheme="bearer", realm="https://auth.example/token", service="registry.example", scope="repository:a/b:pull,push"),
        ),
        ('Basic realm="Registry Realm"', Challenge(scheme="basic", realm="Registry Realm")),
        ('Basic realm="x", Bearer realm="https://t", service=plain', Challenge(scheme="bearer", realm="https://t", service="plain")),
        ('bearer realm="https://t",error="insufficient_scope"', Challenge(scheme="bearer", realm="https://t", error="insufficient_scope")),
        ('Basic realm="this is no, Bearer at all"', Challenge(scheme="basic", realm="this is no, Bearer at all")),
    ],
)
def test_challenges(header: str, expected: Challenge) -> None:
    assert parse(header) == expected


@pytest.mark.parametrize("header", ["", "Negotiate abc", "Digest realm=x"])
def test_others_are_none(header: str) -> None:
    assert parse(header) is None
