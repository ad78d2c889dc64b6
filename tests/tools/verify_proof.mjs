// A second opinion on a conversion proof: signatures, inclusion paths and commitments, with Node's own crypto only.
// node verify_proof.mjs proof.json    exit 0: they hold, 3: one does not, 1: not a proof. Keys are those of the file.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

class Failed extends Error {}

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const leafHash = (body) => sha256(Buffer.from([0]), body);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

function want(condition, why) {
  if (!condition) throw new Failed(why);
}

function unbase64(text, encoding = "base64") {
  const raw = Buffer.from(text, encoding);
  if (raw.toString(encoding) !== text) throw new Error(`not canonical ${encoding}: ${text.slice(0, 20)}`);
  return raw;
}

function publicKey(raw) {
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

function noteKey(vkey) {
  const [name, id] = vkey.split("+", 2);
  const raw = unbase64(vkey.slice(name.length + id.length + 2));
  const own = sha256(Buffer.from(`${name}\n`), raw).subarray(0, 4).toString("hex");
  if (raw.length !== 33 || raw[0] !== 1 || own !== id) throw new Error(`bad verifier key of ${name}`);
  return { name, id, key: publicKey(raw.subarray(1)) };
}

function openNote(note, vkeys, name, what) {
  const gap = note.lastIndexOf("\n\n");
  if (gap < 0 || !note.endsWith("\n")) throw new Error(`${what} is not a signed note`);
  const text = note.slice(0, gap + 1);
  const keys = vkeys.map(noteKey).filter((key) => key.name === name);
  let signed = false;
  for (const line of note.slice(gap + 2, -1).split("\n")) {
    const [dash, signer, blob, ...rest] = line.split(" ");
    if (dash !== "—" || blob === undefined || rest.length) throw new Error(`${what} is not a signed note`);
    const raw = unbase64(blob);
    for (const { key } of keys.filter((k) => k.name === signer && k.id === raw.subarray(0, 4).toString("hex"))) {
      want(verify(null, Buffer.from(text), key, raw.subarray(4)), `signature of ${what}`);
      signed = true;
    }
  }
  want(signed, `no known signature on ${what}`);
  return text.split("\n");
}

// Recursive, on the tree's shape, where the other verifier walks the bits of the index: the two can hardly share a slip.
function rootOf(leaf, index, size, path) {
  if (size === 1n) return path.length === 0 ? leaf : null;
  if (path.length === 0) return null;
  let half = 1n;
  while (half * 2n < size) half *= 2n;
  const top = path[path.length - 1];
  const isLeft = index < half;
  const below = rootOf(leaf, isLeft ? index : index - half, isLeft ? half : size - half, path.slice(0, -1));
  if (below === null) return null;
  return isLeft ? nodeHash(below, top) : nodeHash(top, below);
}

function checkCode(proof) {
  const match = /^aap:\/\/[a-z0-9.-]+\/v1\/([\w-]+)\.([\w-]{86})$/.exec(proof.aapCode);
  if (!match) throw new Error("not an AAP Code");
  const [payload, signature] = [unbase64(match[1], "base64url"), unbase64(match[2], "base64url")];
  const genuine = proof.keys.codes.some(({ publicKey: pem }) => verify(null, payload, createPublicKey(pem), signature));
  want(genuine, "signature of the AAP Code");
}

function checkEntry(proof, entry, size, root) {
  const raw = unbase64(entry.body);
  const body = JSON.parse(raw.toString("utf8"));
  const leaf = leafHash(raw);
  const inside = Number.isSafeInteger(entry.index) && entry.index >= 0 && BigInt(entry.index) < size;
  const reached = inside && rootOf(leaf, BigInt(entry.index), size, entry.inclusion.map((step) => unbase64(step)));
  want(reached && reached.equals(root), `inclusion of ${entry.entryId}`);
  const name = `${proof.origin}/receipt`;
  const receipt = openNote(entry.receipt, proof.keys.receipt, name, `receipt of ${entry.entryId}`);
  const promised = [name, entry.entryId, leaf.toString("base64"), body.recorded_at, ""];
  want(JSON.stringify(receipt) === JSON.stringify(promised), `contents of the receipt of ${entry.entryId}`);
  want(body.entry_id === entry.entryId, `id of ${entry.entryId}`);
  if (entry.opening !== null) { // null: erased, or there was none
    const opened = sha256(unbase64(entry.opening)).toString("hex");
    want(body.sealed[proof.party] === opened, `commitment of ${entry.entryId}`);
  }
  return { body, leaf };
}

function checkChain(proof, entries) {
  const code = sha256(Buffer.from(proof.aapCode)).toString("hex");
  want(entries.length > 1 && entries[0].body.facts.code_sha256 === code, "AAP Code of the recommendation");
  want(entries[1].body.facts.code_sha256 === code, "AAP Code of the conversion");
  entries.slice(1).forEach(({ body }, place) => {
    const before = place === 0 ? null : entries[place].leaf.toString("hex");
    want(body.stream_id === proof.conversionId && body.stream_seq === place + 1, `place of ${body.entry_id}`);
    want(body.prev === before, `chain at ${body.entry_id}`);
  });
}

function check(proof) {
  if (proof.format !== "rako-conversion-proof@v1") throw new Error("not a conversion proof of version 1");
  checkCode(proof);
  const [origin, size, root] = openNote(proof.checkpoint, proof.keys.checkpoint, proof.origin, "the checkpoint");
  want(origin === proof.origin && /^[1-9]\d{0,15}$/.test(size), "contents of the checkpoint");
  checkChain(proof, proof.entries.map((entry) => checkEntry(proof, entry, BigInt(size), unbase64(root))));
  return `holds: ${proof.entries.length} entries of a ledger of ${size}`;
}

try {
  console.log(check(JSON.parse(readFileSync(process.argv[2], "utf8"))));
} catch (error) {
  const failed = error instanceof Failed;
  console.log(`${failed ? "does not hold" : "cannot read"}: ${error.message}`);
  process.exitCode = failed ? 3 : 1;
}
