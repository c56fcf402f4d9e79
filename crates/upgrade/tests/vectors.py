#!/usr/bin/env python3
"""Prints the test vector of docs/UPGRADE.md: an update made a second time, by another library.

Needs the Python package `cryptography`.
"""

import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

seed = bytes(range(32))
image = bytes(i * 7 % 256 for i in range(1000))
key = Ed25519PrivateKey.from_private_bytes(seed)
signed = struct.pack(
    "<4sBB2B16s2B2BI64s",
    b"SCKY", 1, 0, 0x01, 0x14, b"lora-e5", 0x01, 0x00, 0x01, 0xFF, len(image), hashlib.sha512(image).digest(),
)
public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
for name, value in [("private key", seed), ("public key", public), ("signed part", signed), ("signature", key.sign(signed))]:
    print(f"| {name} | `{value.hex()}` |")
