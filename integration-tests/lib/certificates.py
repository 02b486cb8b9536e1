"""Certificates of a private authority, made with openssl."""
import pathlib
import subprocess


class Issued:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder, self.name, self.count = pathlib.Path(folder), name, 0
        self.ca, self.ca_key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", self.ca_key, "-out", self.ca)

    def openssl(self, *words):
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr

    def issue(self, common_name, names=None, cert=None, kind="ec"):
        """For server and client use, with these alternative names: by default those of loopback for a server ("server",
        "cp", "127.0.0.1"), and none for a client. Written over `cert` (an Issued) when that is given."""
        self.count += 1
        stem = self.folder / f"{self.name}-{self.count}"
        extensions = stem.with_suffix(".ext")
        if names is None and common_name in ("server", "cp", "127.0.0.1"):
            names = "IP:127.0.0.1,DNS:localhost"
        alternative = f"subjectAltName={names}\n" if names else ""
        extensions.write_text(f"{alternative}extendedKeyUsage=serverAuth,clientAuth\n")
        subject = f"/CN={common_name}" if common_name else "/O=penstock"
        curve = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else []
        self.openssl("req", "-newkey", kind, *curve, "-nodes", "-subj", subject, "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        self.openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial",
                     "-days", "2", "-extfile", extensions, "-out", f"{stem}.crt")
        made = Issued(pathlib.Path(f"{stem}.crt"), pathlib.Path(f"{stem}.key"))
        if cert:
            made.key.replace(cert.key)
            made.cert.replace(cert.cert)
        return cert or made
