#!/usr/bin/env python3
"""Prints the tables of docs/D2D.md (keys, frames): the D2D frame made a second time, by another library.

Needs the Python package `cryptography`.
"""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

MHDR, VERSION = 0xE0, 1


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def derive(key, purpose):
    return aes(key, bytes([MHDR, VERSION, purpose]) + b"sockeye d2d" + bytes(2))


def seal(key, sender, counter, command, fields):
    header = struct.pack("<BBII", MHDR, VERSION, sender, counter)
    stream = aes(derive(key, 1), header + bytes(6))
    body = bytes(a ^ b for a, b in zip(struct.pack(">H", command) + fields, stream))
    mac = CMAC(algorithms.AES(derive(key, 2)))
    mac.update(header + body)
    return header + body + mac.finalize()[:8]


DEFAULT = bytes.fromhex("5572404C696E6B4C6F52613230313823")
OTHER = bytes(range(16))

for key in (DEFAULT, OTHER):
    print("|", " | ".join(f"`{part.hex()}`" for part in (key, derive(key, 1), derive(key, 2), derive(key, 3)[:4])), "|")
for key, sender, counter, command, fields in (
    (DEFAULT, 0x8C371943, 0, 0x1510, b""),
    (DEFAULT, 0x8C371943, 1, 0x1511, b""),
    (DEFAULT, 0x00000001, 0xFFFFFFFF, 0x0000, b""),
    (OTHER, 0x8C371943, 0x01020304, 0xFFFF, b""),
    (OTHER, 0xDEADBEEF, 70000, 0x1510, bytes.fromhex("01020304")),
    (OTHER, 0xDEADBEEF, 70001, 0x1510, bytes(range(14))),
):
    frame = seal(key, sender, counter, command, fields)
    names = "default" if key == DEFAULT else "second"
    shown = f"`{fields.hex()}`" if fields else "none"
    print(f"| {names} | `{sender:08x}` | {counter} | `{command:04x}` | {shown} | `{frame.hex()}` |")
