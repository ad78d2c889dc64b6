"""The transparency log's kernel: tree, proofs, notes, signer, witness. No Django, no database: bytes in, bytes out."""
