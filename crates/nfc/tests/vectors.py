#!/usr/bin/env python3
"""Prints the tables of docs/NFC.md (keys, requests, answers): the session made a second time, by another library.

Needs the Python package `cryptography`.
"""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

ITERATIONS = 4096


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def cmac(key, message):
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def prf(key, message):
    """AES-CMAC-PRF-128 (RFC 4615)."""
    return cmac(key if len(key) == 16 else cmac(bytes(16), key), message)


def pbkdf2(password, salt, iterations):
    """PBKDF2 (RFC 8018) of one block."""
    last = total = prf(password, salt + struct.pack(">I", 1))
    for _ in range(iterations - 1):
        last = prf(password, last)
        total = bytes(a ^ b for a, b in zip(total, last))
    return total


def derive(password, sn):
    master = pbkdf2(password, sn, ITERATIONS)
    label = b"sockeye nfc\0\0\0"
    return aes(master, label + bytes([1, 1])), aes(master, label + bytes([1, 2]))


def request(keys, kind, sn, challenge, body):
    head = b"Q" + bytes([1, kind]) + sn + challenge
    tag = cmac(keys[0], head + body)[:8]
    if kind == 0x10:
        stream = b"".join(
            aes(keys[1], tag + challenge[:6] + struct.pack(">H", count)) for count in range((len(body) + 15) // 16)
        )
        body = bytes(a ^ b for a, b in zip(body, stream))
    return head + body + tag


def answer(keys, code, kind, challenge, body):
    text = b"A" + bytes([1, code, kind | 0x80]) + challenge + body
    return text + cmac(keys[0], text)[:8]


SN = bytes.fromhex("61483C3719439105")
OTHER = bytes.fromhex("6148B13783621055")
CHALLENGE = bytes.fromhex("0700000078563412")

# The derivation's label is 16 bytes.
assert len(b"sockeye nfc\0\0\0") + 2 == 16

for password, sn in ((b"123456", SN), (b"000000", SN), (b"123456", OTHER)):
    mac, cipher = derive(password, sn)
    print(f"| `{password.decode()}` | `{sn.hex()}` | `{mac.hex()}` | `{cipher.hex()}` |")
KEYS = derive(b"123456", SN)
for name, kind, body in (
    ("switch over", 0x11, bytes([2])),
    ("reporting interval 600 s, for EU and EU868", 0x10, bytes([0, 0, 1, 0x40, 4]) + struct.pack("<I", 600)),
    ("password 987654, for any", 0x10, bytes([0xFF, 0xFF, 1, 0x47, 6]) + b"987654"),
    ("a piece of an image at 256", 0x21, struct.pack("<I", 256) + bytes(range(40))),
    ("give an upgrade up", 0x23, b""),
):
    print(f"| {name} | `{kind:02x}` | `{body.hex()}` | `{request(KEYS, kind, SN, CHALLENGE, body).hex()}` |")
for name, code, kind, body in (
    ("done", 0, 0x11, b""),
    ("the interval is out of range", 8, 0x10, bytes([0x40, 3])),
):
    print(f"| {name} | `{code:02x}` | `{body.hex()}` | `{answer(KEYS, code, kind, CHALLENGE, body).hex()}` |")
