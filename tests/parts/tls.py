"""A certificate of our own, for servers that speak TLS."""

import ssl
import subprocess
from pathlib import Path

from tests.parts.process import program


def own_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The file of a certificate for 127.0.0.1, and a server's context that shows it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
