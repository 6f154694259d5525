# SPDX-License-Identifier: Apache-2.0
"""What the proxy of the partition tests understands of a frame."""

import pytest

from lab.peer_proxy import MESSAGES, fields, message_of, role_of


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def nested(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def test_numbers_and_nested_messages_are_told_apart():
    frame = number(1, 300) + number(2, 1) + nested(40, number(2, 7))
    assert fields(frame) == {1: 300, 2: 1, 40: number(2, 7)}


@pytest.mark.parametrize("field", MESSAGES)
def test_each_message_has_its_name(field):
    assert message_of(fields(number(1, 5) + nested(field, b""))) == MESSAGES[field]


def test_an_answer_is_no_message_to_cut_at():
    assert message_of(fields(number(1, 5) + number(2, 1) + nested(31, b""))) is None


@pytest.mark.parametrize("role, name", [(1, "control"), (2, "demand"), (3, "bulk")])
def test_the_role_is_in_the_hello(role, name):
    hello = number(1, 1) + number(2, 1) + nested(3, b"hostb") + number(4, role) + nested(5, b"vmferry")
    assert role_of(fields(nested(10, hello))) == name


def test_a_form_that_the_protocol_does_not_use_is_refused():
    with pytest.raises(ValueError, match="wire type 5"):
        fields(b"\x0d\x00\x00\x00\x00")
