"""The stand-alone verifier on seals: signatures, paths, links, and what they show that a chain alone does not."""

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger import merkle
from ledger.verify_ledger import CURVE_D, ORDER, PRIME, is_signed, main, merkle_root, point_of
from sora2.canonical import canonical_json, sha256_hex
from tests.ledger.books import WALLET, ZEROS, Row, books, chained, export, mutations, run

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


# --- Ed25519 and Merkle trees --------------------------------------------------------------------------------------

# RFC 8032, 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("public_key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_are_signed(public_key: str, message: str, signature: str) -> None:
    assert is_signed(bytes.fromhex(public_key), bytes.fromhex(message), bytes.fromhex(signature))


def both_say(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return what the verifier says, once `cryptography` has said the same."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        expected = True
    except (InvalidSignature, ValueError):
        expected = False
    assert is_signed(public_key, message, signature) is expected
    return expected


def test_signatures_are_judged_as_cryptography_does() -> None:
    chance = random.Random(7)
    for _ in range(20):
        key = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        public_key, message = key.public_key().public_bytes_raw(), chance.randbytes(chance.randrange(200))
        signature = key.sign(message)
        assert both_say(public_key, message, signature)
        assert not both_say(public_key, message + b"x", signature)
        assert not both_say(chance.randbytes(32), message, signature)
        for raw in (flipped(signature, chance), signature[:32] + chance.randbytes(32), chance.randbytes(64)):
            assert not both_say(public_key, message, raw)
        above = int.from_bytes(signature[32:], "little") + ORDER
        assert not both_say(public_key, message, signature[:32] + above.to_bytes(32, "little"))


def flipped(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw) * 8)
    return bytes(byte ^ (1 << at % 8 if number == at // 8 else 0) for number, byte in enumerate(raw))


@pytest.mark.parametrize("length", [0, 31, 32, 63, 65])
def test_a_signature_or_key_of_another_length_is_none(length: int) -> None:
    public_key = KEY.public_key().public_bytes_raw()
    assert not is_signed(public_key, b"", bytes(length))
    assert length == 32 or not is_signed(bytes(length), b"", KEY.sign(b""))


def test_a_point_that_is_not_written_in_its_one_way_is_none() -> None:
    # y = 1 is the neutral point; 2²⁵⁵-18 is the same number, and its x has no sign.
    neutral = (1).to_bytes(32, "little")
    for other in ((2**255 - 18).to_bytes(32, "little"), (1 + 2**255).to_bytes(32, "little"), b"\xff" * 32):
        assert not is_signed(KEY.public_key().public_bytes_raw(), b"", other + bytes(32))
        assert not is_signed(other, b"", neutral + bytes(32))


def test_only_points_of_the_curve_are_points() -> None:
    refused = 0
    for number in range(2, 50):
        try:
            x, y, *_ = point_of(number.to_bytes(32, "little"))
        except ValueError:
            refused += 1
        else:
            assert (y * y - x * x - 1 - CURVE_D * x * x * y * y) % PRIME == 0
    assert 10 < refused < 40


def tree_hash(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 9162, 2.1.1, defines it."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def test_a_root_and_the_paths_to_it_are_those_of_the_rfc() -> None:
    assert merkle.root([]) == hashlib.sha256(b"").digest()
    for size in range(1, 40):
        leaves = [bytes([number]) for number in range(size)]
        root = merkle.root(leaves)
        assert root == tree_hash(leaves)
        for index, leaf in enumerate(leaves):
            assert merkle_root(leaf, index, size, merkle.path(leaves, index)) == root.hex()


# From the test data of Certificate Transparency's own implementation.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]


def test_the_root_of_certificate_transparencys_test_data() -> None:
    root = merkle.root([bytes.fromhex(leaf) for leaf in CT_LEAVES])
    assert root.hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_a_path_proves_no_other_leaf_place_or_size() -> None:
    leaves = [bytes([number]) for number in range(11)]
    root, path = merkle.root(leaves).hex(), merkle.path(leaves, 5)
    assert merkle_root(leaves[5], 5, 11, path) == root
    assert merkle_root(leaves[6], 5, 11, path) != root
    for index in (-1, 4, 6, 7, 10, 11, 2**70):
        assert merkle_root(leaves[5], index, 11, path) != root
    for wrong in (path[:-1], path[1:], [*path, path[0]], path[::-1], [], [*path[:2], bytes(32), *path[3:]]):
        assert merkle_root(leaves[5], 5, 11, wrong) != root
    assert merkle_root(leaves[5], 5, 5, path) is None
    alone = merkle.root(leaves[:1]).hex()
    assert [merkle_root(leaves[0], index, 1, []) for index in (-1, 0, 1)] == [None, alone, None]
    # A node is no leaf: what is hashed to make it begins otherwise.
    assert merkle_root(path[0] + path[0], 0, 6, path[1:]) != root


# --- seals ---------------------------------------------------------------------------------------------------------


class Sealer:
    """Seals of a made-up system of five wallets, of which ours is the third."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey = KEY) -> None:
        self.folder, self.key, self.previous, self.number = folder, key, ZEROS, 0

    def seal(self, seq: int, hash: str, **changes: Any) -> tuple[Path, Path]:
        """Seal our wallet's head; return the shipped file, and the customer's."""
        self.number += 1
        heads = [(f"wal_{place}", 7, f"{place}" * 64) for place in "014"]
        leaves = [f"{a},{b},{c}".encode() for a, b, c in sorted([*heads, (WALLET, seq, hash), ("wal_2", 1, "2" * 64)])]
        index = leaves.index(f"{WALLET},{seq},{hash}".encode())
        seal = {
            "format": "sora2-ledger-seal-1",
            "number": self.number,
            "previous": self.previous,
            "root": merkle.root(leaves).hex(),
            "sealed_at": f"2026-02-{self.number:02}T00:00:00.000000Z",
            "wallets": len(leaves),
            **changes,
        }
        body = canonical_json(seal)
        self.previous = sha256_hex(body)
        shipped = {"key_id": self.key_id, "seal": seal, "signature": self.signature(body)}
        wallet = {"wallet_id": WALLET, "seq": seq, "hash": hash}
        nodes = [node.hex() for node in merkle.path(leaves, index)]
        own = {**shipped, "wallet": wallet, "index": index, "path": nodes}
        return self.write(f"seal-{self.number:08}.json", shipped), self.write(f"own-{self.number:08}.json", own)

    @property
    def key_id(self) -> str:
        return hashlib.sha256(self.key.public_key().public_bytes_raw()).hexdigest()[:16]

    def signature(self, body: str) -> str:
        return base64.b64encode(self.key.sign(body.encode())).decode()

    def write(self, name: str, value: Any) -> Path:
        file = self.folder / name
        file.write_text(canonical_json(value) + "\n")
        return file


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    file = tmp_path / "ledger.csv"
    file.write_bytes(export(books()))
    return file


def head_of(rows: list[Row], seq: int) -> tuple[int, str]:
    return seq, rows[seq - 1]["hash"]


def test_a_ledger_that_holds_what_was_sealed_passes(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 4))
    status, said = run(ledger, "--path", own, "--key", PUBLIC)
    assert status == 0
    assert (
        f"OK  seal 1 of 2026-02-01T00:00:00.000000Z: entry 4 is the one that was sealed; signed by {sealer.key_id}"
        in said
    )
    assert "entries 5 to 6 are newer than these seals" in said
    assert "NOT checked" not in said


def test_without_a_key_the_verifier_says_loudly_what_it_did_not_check(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    status, said = run(ledger, "--path", own)
    assert (status, "signature NOT checked: give --key" in said) == (0, True)


def test_a_key_is_given_as_text_as_a_file_or_as_it_is_published(ledger: Path, sealer: Sealer, tmp_path: Path) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    plain, published = tmp_path / "key", tmp_path / "keys.json"
    plain.write_text(f"{PUBLIC}\n")
    other = base64.b64encode(bytes(32)).decode()
    keys = [{"key_id": "x", "algorithm": "Ed25519", "public_key": key} for key in (other, PUBLIC)]
    published.write_text(json.dumps({"keys": keys}))
    for key in (PUBLIC, plain, published):
        status, said = run(ledger, "--path", own, "--key", key)
        assert (status, "signed by" in said) == (0, True)


@pytest.mark.parametrize(
    "key", ["x", "", PUBLIC[:-4], "{}", '{"keys":[]}', '{"keys":[{}]}', '{"keys":[{"public_key":7}]}']
)
def test_what_is_no_key_is_refused(ledger: Path, sealer: Sealer, key: str) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    status, said = run(ledger, "--path", own, "--key", key)
    assert (status, "--key" in said) == (1, True)


def test_a_seal_by_another_key_is_refused(ledger: Path, sealer: Sealer, tmp_path: Path) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    forger = Sealer(tmp_path, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    _, forged = forger.seal(*head_of(books(), 6))
    assert run(ledger, "--path", forged, "--key", PUBLIC)[0] == 1
    said = json.loads(own.read_text())
    own.write_text(canonical_json({**said, "key_id": forger.key_id}) + "\n")
    assert run(ledger, "--path", own, "--key", PUBLIC)[0] == 1


def test_any_byte_of_a_customers_file_counts(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    raw = own.read_bytes()
    chance = random.Random(3)
    arguments = [str(ledger), "--path", str(own), "--key", PUBLIC]
    assert main(arguments) == 0
    for at in range(len(raw)):
        own.write_bytes(chance.choice(list(mutations(raw, at))))
        assert main(arguments) == 1, at
        own.write_bytes(raw[:at])
        assert main(arguments) == 1, at
    own.write_bytes(raw + b"\n")
    assert main(arguments) == 1


def test_a_cut_tail_is_found(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    ledger.write_bytes(export(books()[:4]))
    assert run(ledger)[0] == 0
    status, said = run(ledger, "--path", own, "--key", PUBLIC)
    assert status == 1
    assert "the wallet had 6 entries, so the file's tail was cut off" in said


def test_a_history_that_was_rewritten_as_a_whole_is_found(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    ledger.write_bytes(export(chained([{**row, "reason": "better"} for row in books()])))
    assert run(ledger)[0] == 0
    status, said = run(ledger, "--path", own, "--key", PUBLIC)
    assert status == 1
    assert "line 7 (entry 6): history was rewritten" in said


def test_an_interval_that_starts_right_after_the_sealed_entry_is_compared_by_the_hash_before(
    ledger: Path, sealer: Sealer
) -> None:
    rows = books()
    _, own = sealer.seal(*head_of(rows, 2))
    ledger.write_bytes(export(rows[2:]))
    assert run(ledger, "--path", own, "--key", PUBLIC)[0] == 0
    other = chained([{**row, "reason": "better"} for row in rows])
    ledger.write_bytes(export(other[2:]))
    status, said = run(ledger, "--path", own, "--key", PUBLIC)
    assert (status, "line 2 (entry 3): history was rewritten" in said) == (1, True)


@pytest.mark.parametrize(("first", "last"), [(4, 6), (0, 1), (0, 0)])
def test_a_seal_that_cannot_be_applied_is_an_error(first: int, last: int, ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 3))
    ledger.write_bytes(export(books()[first:last]))
    assert run(ledger, "--path", own)[0] == 1


def test_a_seal_of_another_wallet_is_an_error(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 3))
    ledger.write_bytes(export(chained([{**row, "wallet_id": "wal_other"} for row in books()])))
    status, said = run(ledger, "--path", own)
    assert (status, "of wallet 'wal_other'" in said) == (1, True)


def test_a_seal_without_a_path_is_an_error(ledger: Path, sealer: Sealer) -> None:
    shipped, own = sealer.seal(*head_of(books(), 3))
    status, said = run(ledger, "--seal", shipped)
    assert (status, "Give that file with --path" in said) == (1, True)
    status, said = run(ledger, "--path", shipped)
    assert (status, "this file has no path of a wallet" in said) == (1, True)
    assert run(ledger, "--seal", own)[0] == 0
    assert run(ledger, "--seal", shipped, "--path", own)[0] == 0


def test_seals_beside_the_one_with_the_path_are_checked_as_a_chain(ledger: Path, sealer: Sealer) -> None:
    rows = books()
    made = [sealer.seal(*head_of(rows, seq)) for seq in (1, 2, 2, 4, 6)]
    shipped = [seal for seal, _ in made]
    status, said = run(ledger, "--seal", *shipped, "--path", made[2][1], "--key", PUBLIC)
    assert status == 0
    assert said.count("signed by") == 5
    assert said.count("in the same chain; signed by") == 4
    status, said = run(ledger, "--seal", shipped[0], "--path", made[2][1])
    assert (status, "seal 1 says nothing about this ledger" in said) == (1, True)


def test_seals_that_do_not_continue_each_other_are_an_error(ledger: Path, sealer: Sealer, tmp_path: Path) -> None:
    rows = books()
    first, _ = sealer.seal(*head_of(rows, 1))
    (tmp_path / "b").mkdir()
    other = Sealer(tmp_path / "b")
    fork, _ = other.seal(*head_of(rows, 2))
    _, own = other.seal(*head_of(rows, 3))
    status, said = run(ledger, "--seal", first, "--path", own, "--key", PUBLIC)
    assert (status, "seal 2 does not continue seal 1" in said) == (1, True)
    status, said = run(ledger, "--seal", first, fork, "--path", own, "--key", PUBLIC)
    assert (status, "two different seals with the number 1" in said) == (1, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "sora2-ledger-seal-2"},
        {"number": 0},
        {"previous": "a" * 64},
        {"sealed_at": "today"},
        {"wallets": "5"},
        {"more": 1},
    ],
)
def test_what_is_no_seal_is_refused(changes: dict[str, Any], ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 6), **changes)
    assert run(ledger, "--path", own, "--key", PUBLIC)[0] == 1


def test_a_path_that_does_not_lead_to_the_root_is_refused(ledger: Path, sealer: Sealer) -> None:
    _, own = sealer.seal(*head_of(books(), 6))
    said = json.loads(own.read_text())
    changes: list[dict[str, Any]] = [
        {"index": 0},
        {"path": []},
        {"path": [7]},
        {"path": ["g" * 64]},
        {"wallet": {**said["wallet"], "seq": 5}},
        {"wallet": {**said["wallet"], "hash": "\x1b[2J"}},
    ]
    for change in changes:
        own.write_text(canonical_json({**said, **change}) + "\n")
        assert run(ledger, "--path", own, "--key", PUBLIC)[0] == 1
