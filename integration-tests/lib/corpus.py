"""Requests that parsers have read differently. name -> bytes; behind each, the harness sends one that ends the
connection (END), so that what a proxy takes for the end of a request shows in what its backend gets."""

HOST = "g.example.com"
BODY = "0\r\n\r\n"  # five bytes by length, the end by chunks
CHUNKS = "3\r\nabc\r\n0\r\n\r\n"
SMUGGLED = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
CASES = {}


def add(name, text):
    assert name not in CASES, name
    CASES[name] = text if isinstance(text, bytes) else text.encode("latin-1")


def get(line="GET /x HTTP/1.1", fields="", host=f"Host: {HOST}\r\n"):
    return f"{line}\r\n{host}{fields}\r\n"


def post(fields, body="", line="POST /x HTTP/1.1"):
    return f"{line}\r\nHost: {HOST}\r\n{fields}\r\n{body}"


def lengths():
    for value in ["5", "05", "00000000000000000000005", "+5", "-5", "5 5", "5,5", "5, 5", "5,6", ",5", "5,", "0x5",
                  "5.0",
                  "5e0", "5;", "5a", "a", "", "\"5\"", "'5'", "\x0b5", "5\x0b", "5\x00", "\x005", "5\xa0", "\xb5",
                  " 5", "5 ",
                  "\t5\t", "4294967301", "18446744073709551621", "9223372036854775808", "1e1", "5/1", "0b101", "0o5",
                  "5_0"]:
        add(f"length {value!r}", post(f"Content-Length: {value}\r\n", BODY))
    for first, second in [("5", "5"), ("5", "0"), ("0", "5"), ("5", ""), ("5", "+5"), ("05", "5")]:
        add(f"lengths {first!r} {second!r}", post(f"Content-Length: {first}\r\nContent-Length: {second}\r\n", BODY))
    for name in ["Content-Length ", "Content-Length\t", "Content_Length", "Content-Length\x00", " Content-Length",
                 "\x00Content-Length", "Content-Length\r", "Content Length", "Content-Length\x0b", "\xefContent-Length",
                 "CONTENT-LENGTH", "Content-Lengt\xc3\xb8"]:
        add(f"length named {name!r}", post(f"{name}: 5\r\n", BODY))
    add("length folded", post("Content-Length:\r\n 5\r\n", BODY))
    add("length folded behind", post("Content-Length: 5\r\n 0\r\n", BODY))
    add("length in GET", get("GET /x HTTP/1.1", "Content-Length: 5\r\n") + BODY)
    add("length in HEAD", get("HEAD /x HTTP/1.1", "Content-Length: 5\r\n") + BODY)
    add("length in DELETE", get("DELETE /x HTTP/1.1", "Content-Length: 5\r\n") + BODY)
    add("length that hides a request", post(f"Content-Length: {len(SMUGGLED)}\r\n", SMUGGLED))
    add("no length in POST", post("", SMUGGLED))


def codings():
    for value in ["chunked", "Chunked", "CHUNKED", "chunked ", "\tchunked", "chunked\t", "chunked, chunked", "identity",
                  "identity, chunked", "chunked, identity", "gzip, chunked", "chunked, gzip", "gzip", ",chunked",
                  "chunked,",
                  "chunked;", "chunked;q=1", "chunked; x", "\"chunked\"", "'chunked'", "xchunked", "chunkedx",
                  "chunke", "x",
                  "", "\x0bchunked", "chunked\x0b", "\x00chunked", "chunked\x00", "chunked\x00x", "\xa0chunked",
                  "chun\xe2\x84\xaaed", "chunked\x7f", "chunked identity", "identity chunked", "c h u n k e d",
                  "chunked/1",
                  "trailers, chunked", "\x0cchunked", "chunked\r", "\rchunked"]:
        add(f"coding {value!r}", post(f"Transfer-Encoding: {value}\r\n", CHUNKS))
    for first, second in [("chunked", "chunked"), ("chunked", "identity"), ("identity", "chunked"), ("x", "chunked"),
                          ("chunked", "x"), ("", "chunked"), ("chunked", "")]:
        add(f"codings {first!r} {second!r}", post(f"Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}\r\n",
        CHUNKS))
    for name in ["Transfer-Encoding ", "Transfer-Encoding\t", "Transfer_Encoding", "Transfer-Encoding\x00",
                 " Transfer-Encoding", "\tTransfer-Encoding", "TRANSFER-ENCODING", "Transfer Encoding",
                 "Transfer-Encoding\x0b", "X: x\nTransfer-Encoding", "X: x\rTransfer-Encoding",
                 "\xffTransfer-Encoding"]:
        add(f"coding named {name!r}", post(f"{name}: chunked\r\n", CHUNKS))
    add("coding folded", post("Transfer-Encoding:\r\n chunked\r\n", CHUNKS))
    add("coding folded by a tab", post("Transfer-Encoding:\r\n\tchunked\r\n", CHUNKS))
    add("coding folded behind", post("Transfer-Encoding: chunked\r\n , identity\r\n", CHUNKS))
    add("coding before a colon alone", post("Transfer-Encoding:chunked\r\n", CHUNKS))
    add("coding in HTTP/1.0", post("Transfer-Encoding: chunked\r\n", CHUNKS, "POST /x HTTP/1.0"))
    add("coding and keep-alive in HTTP/1.0", post("Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n", CHUNKS,
                                                  "POST /x HTTP/1.0"))
    add("coding in GET", get(fields="Transfer-Encoding: chunked\r\n") + CHUNKS)
    add("coding in HEAD", get("HEAD /x HTTP/1.1", "Transfer-Encoding: chunked\r\n") + CHUNKS)


def both():
    chunked, length = "Transfer-Encoding: chunked\r\n", "Content-Length: {}\r\n"
    add("length, coding", post(length.format(5) + chunked, BODY))
    add("coding, length", post(chunked + length.format(5), BODY))
    add("length, coding, a request behind", post(length.format(len(BODY + SMUGGLED)) + chunked, BODY + SMUGGLED))
    add("coding, length 0", post(chunked + length.format(0), CHUNKS))
    add("length, coding in HTTP/1.0", post(length.format(5) + chunked, BODY, "POST /x HTTP/1.0"))
    for value in ["identity", "x", "xchunked", "chunked, identity", "\x0bchunked", "chunked\x0b", "", ",",
                  "\"chunked\""]:
        add(f"length, coding {value!r}", post(length.format(5) + f"Transfer-Encoding: {value}\r\n", BODY))
    for name in ["Transfer-Encoding ", "Transfer_Encoding", "Transfer-Encoding\t", " Transfer-Encoding",
                 "Transfer-Encoding\x00",
                 "X: x\nTransfer-Encoding", "X: x\rTransfer-Encoding"]:
        add(f"length, coding named {name!r}", post(length.format(5) + f"{name}: chunked\r\n", BODY))
    for names in ["Content-Length", "Transfer-Encoding", "close, Content-Length"]:
        add(f"length, Connection: {names}", post(length.format(5) + f"Connection: {names}\r\n", BODY))
        add(f"coding, Connection: {names}", post(chunked + f"Connection: {names}\r\n", CHUNKS))


def chunks():
    for name, text in {
        "size with a blank behind": "3 \r\nabc\r\n0\r\n\r\n", "size with a tab behind": "3\t\r\nabc\r\n0\r\n\r\n",
        "size with a blank before": " 3\r\nabc\r\n0\r\n\r\n", "size 0x3": "0x3\r\nabc\r\n0\r\n\r\n",
        "size +3": "+3\r\nabc\r\n0\r\n\r\n", "size -1": "-1\r\nabc\r\n0\r\n\r\n", "size 03": "03\r\nabc\r\n0\r\n\r\n",
        "size of 16 digits": "0000000000000003\r\nabc\r\n0\r\n\r\n",
        "size of 17 digits": "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "size of 40 digits": "0" * 39 + "3\r\nabc\r\n0\r\n\r\n", "size 2^64+3": "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "size 2^32+3": "100000003\r\nabc\r\n0\r\n\r\n", "size 2^63": "8000000000000000\r\nabc",
        "size 2^64-1": "ffffffffffffffff\r\nabc",
        "size empty": "\r\nabc\r\n0\r\n\r\n", "size g": "g\r\nabc\r\n0\r\n\r\n", "size 3g": "3g\r\nabc\r\n0\r\n\r\n",
        "size 3,": "3,\r\nabc\r\n0\r\n\r\n", "size 0_3": "0_3\r\nabc\r\n0\r\n\r\n",
        "size 3\\0": "3\0\r\nabc\r\n0\r\n\r\n",
        "size ends in LF": "3\nabc\r\n0\r\n\r\n", "size ends in CR": "3\rabc\r\n0\r\n\r\n",
        "size ends in CR CR LF": "3\r\r\nabc\r\n0\r\n\r\n",
        "data ends in LF": "3\r\nabc\n0\r\n\r\n", "data ends in CR": "3\r\nabc\r0\r\n\r\n",
        "data ends in nothing": "3\r\nabc0\r\n\r\n",
        "data ends in LF CR": "3\r\nabc\n\r0\r\n\r\n", "data ends in two bytes": "3\r\nabcXX0\r\n\r\n",
        "data too long": "3\r\nabcd\r\n0\r\n\r\n",
        "data too short": "3\r\nab\r\n0\r\n\r\n", "end in LF LF": "3\r\nabc\r\n0\n\n",
        "end without a line": "3\r\nabc\r\n0\r\n",
        "end 00": "3\r\nabc\r\n00\r\n\r\n", "end 0 blank": "3\r\nabc\r\n0 \r\n\r\n",
        "end in CR LF LF": "3\r\nabc\r\n0\r\n\n",
        "extension": "3;a=b\r\nabc\r\n0\r\n\r\n", "extension without a name": "3;\r\nabc\r\n0\r\n\r\n",
        "extension behind a blank": "3 ;a=b\r\nabc\r\n0\r\n\r\n", "extension quoted": "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n",
        "extension quotes CR LF": "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n", "extension with LF": "3;a\nabc\r\n0\r\n\r\n",
        "extension with CR": "3;a\rb\r\nabc\r\n0\r\n\r\n", "extension with NUL": "3;a\0\r\nabc\r\n0\r\n\r\n",
        "extension of 5000 bytes": "3;" + "a" * 5000 + "\r\nabc\r\n0\r\n\r\n",
        "extension of the end": "3\r\nabc\r\n0;a=b\r\n\r\n",
        "extensions empty": "3;;\r\nabc\r\n0\r\n\r\n", "extension without a value": "3;a=\r\nabc\r\n0\r\n\r\n",
        "extension that is no token": "3;(\r\nabc\r\n0\r\n\r\n",
        "extension quoted and open": "3;a=\"b\r\nabc\r\n0\r\n\r\n",
        "extension hides a chunk": "3;\n0\r\nabc\r\n0\r\n\r\n", "extension with DEL": "3;a\x7f\r\nabc\r\n0\r\n\r\n",
        "trailer": "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        "trailer Content-Length": "3\r\nabc\r\n0\r\nContent-Length: 50\r\n\r\n",
        "trailer Transfer-Encoding": "3\r\nabc\r\n0\r\nTransfer-Encoding: x\r\n\r\n",
        "trailer Host": "3\r\nabc\r\n0\r\nHost: other\r\n\r\n",
        "trailer Authorization": "3\r\nabc\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n",
        "trailer without a colon": "3\r\nabc\r\n0\r\nX\r\n\r\n",
        "trailer folded": "3\r\nabc\r\n0\r\nX: 1\r\n 2\r\n\r\n", "trailer ends in LF": "3\r\nabc\r\n0\r\nX: 1\n\r\n",
        "trailer with NUL": "3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
        "trailer with a blank in its name": "3\r\nabc\r\n0\r\nX : 1\r\n\r\n",
        "trailer is a request": f"3\r\nabc\r\n0\r\n{SMUGGLED}",
    }.items():
        add(f"chunk: {name}", post("Transfer-Encoding: chunked\r\n", text))


def lines():
    for line in ["GET  /x HTTP/1.1", "GET /x  HTTP/1.1", "GET\t/x HTTP/1.1", "GET /x\tHTTP/1.1", " GET /x HTTP/1.1",
                 "GET /x HTTP/1.1 ",
                 "GET /x HTTP/1.1\t", "GET /x y HTTP/1.1", "GET /x HTTP/1.1 x", "GET /x", "GET HTTP/1.1", "GET", "",
                 "/x HTTP/1.1", "GET /x HTTP/1.",
                 "GET /x HTTP/1", "GET /x HTTP/1.11", "GET /x HTTP/01.1", "GET /x HTTP/1.01", "GET /x HTTP/1.2",
                 "GET /x HTTP/1.9",
                 "GET /x HTTP/2.0", "GET /x HTTP/0.9", "GET /x HTTP/3.0", "GET /x HTTP/10.1", "GET /x HTTP/1,1",
                 "GET /x HTTP /1.1",
                 "GET /x http/1.1", "GET /x HTTPS/1.1", "GET /x HTTP/1.1\0", "GET /x HTTP/+1.1", "GET /x HTTP/-1.1",
                 "GET /x HTTP/1.x",
                 "GET /x XTTP/1.1", "GET /x RTSP/1.0", "PRI * HTTP/2.0", "get /x HTTP/1.1", "Get /x HTTP/1.1",
                 "G@T /x HTTP/1.1", "GET\0 /x HTTP/1.1",
                 "GET: /x HTTP/1.1", "GET, /x HTTP/1.1", "G\xc9T /x HTTP/1.1", "GET!#$%&'*+-.^_`|~ /x HTTP/1.1",
                 "FOO /x HTTP/1.1", "TRACE /x HTTP/1.1",
                 "CONNECT g.example.com:80 HTTP/1.1", "CONNECT /x HTTP/1.1", "OPTIONS * HTTP/1.1", "GET * HTTP/1.1",
                 "OPTIONS /x HTTP/1.1",
                 "GET\x0b/x HTTP/1.1", "GET /x\x0bHTTP/1.1", "GET\x0c/x HTTP/1.1", "GET\xa0/x HTTP/1.1",
                 "GET\r/x HTTP/1.1", "X" * 5000 + " /x HTTP/1.1"]:
        add(f"line {line if len(line) < 99 else 'of a long method'!r}", get(line))
    add("line ends in LF", get("GET /x HTTP/1.1").replace("\r\n", "\n", 1))
    add("all lines end in LF", get("GET /x HTTP/1.1").replace("\r\n", "\n"))
    add("line ends in CR", get("GET /x HTTP/1.1").replace("\r\n", "\r", 1))
    add("line ends in CR CR LF", get("GET /x HTTP/1.1\r"))
    add("line behind CR LF", "\r\n" + get())
    add("line behind two CR LF", "\r\n\r\n" + get())
    add("line behind LF", "\n" + get())
    add("line behind CR", "\r" + get())
    add("line behind NUL", "\0" + get())
    add("line behind a byte order mark", "\xef\xbb\xbf" + get())
    add("HTTP/0.9", "GET /x\r\n")
    add("HTTP/1.0 without Host", get("GET /x HTTP/1.0", host=""))


def targets():
    for target in ["x", "?a=b", "", "/x#y", "/x?a#y", "\\x", "/x\\y", "//x", "//other.example.com/x", "/./x", "/../x",
                   "/a/../x", "/a/..", "/.", "/%2e%2e/x",
                   "/%2E./x", "/a/%2e/x", "/..%2fx", "/a%2f..%2fx", "/..;/x", "/a/..;x=1/x", "/%5c..%5cx", "/\\..\\x",
                   "/x%00", "/x%0d%0a", "/x%", "/x%z1", "/x%1",
                   "/x%2fy", "/x%252e", "/x%c0%ae", "/x%u002e", "/x\x7f", "/x\x01", "/x\xc3\xa9", "/x\0y", "/x y",
                   "/x\ty", "/x\"y", "/x<y>", "/x{y}", "/x|y", "/x^y",
                   "/x`y", "/x[y]", "/x?a=\0", "/x?a=\xe9", "/x?\"", "/x?[", "/x?%00", "/x?%zz", "/x?a b",
                   "http://g.example.com/x", "HTTP://G.EXAMPLE.COM/x", "https://g.example.com/x",
                   "ftp://g.example.com/x", "http://g.example.com", "http://g.example.com?a",
                   "http://other.example.com/x", "http://user@g.example.com/x", "http://g.example.com:80/x",
                   "http://g.example.com:81/x", "http://g.example.com:/x",
                   "http://g.example.com:x/", "http:///x", "http:/x", "http:x", "http//x", "://x",
                   "http://g.example.com\\x", "http://g.example.com#x", "http://[::1]/x",
                   "http://g.example.com@other.example.com/x", "http://g.example.com/../x", "g.example.com:80",
                   "g.example.com/x", "javascript:x"]:
        add(f"target {target!r}", get(f"GET {target} HTTP/1.1"))
    add("target of 40000 bytes", get(f"GET /{'a' * 40000} HTTP/1.1"))
    add("target absolute without Host", get("GET http://g.example.com/x HTTP/1.1", host=""))


def hosts():
    for value in ["", " ", "g.example.com:", "g.example.com:80", "g.example.com:0", "g.example.com:65536",
                  "g.example.com:x", "g.example.com:80:80", "g.example.com/x",
                  "g.example.com?x", "g.example.com#x", "user@g.example.com", "g.example.com@other",
                  "g.example.com,other", "g.example.com, g.example.com",
                  "g.example.com other", "g.example.com\0", "g.example.com\x01", "g.example.com\t",
                  "g.example.com\x0b", "\"g.example.com\"", "g.example.com\\x", "[::1]",
                  "[::1", "::1", "[g.example.com]", "G.EXAMPLE.COM", "g.example.com.", "g..example.com",
                  ".g.example.com", "g_x.example.com", "g%2eexample.com",
                  "g\xe9.example.com", "g.example.com%00", "http://g.example.com", "*", "-", "a" * 300,
                  "g.example.com\x7f", "g{x}.example.com", "g.example.com:+80",
                  "g.example.com:-1", "g.example.com: 80", "g.example.com :80", "[::1]x", "[::1]:x", "127.1",
                  "0x7f000001"]:
        add(f"Host {value if len(value) < 99 else 'of 300 bytes'!r}", get(host=f"Host: {value}\r\n"))
    add("no Host", get(host=""))
    for first, second in [(HOST, HOST), (HOST, "other"), ("other", HOST), (HOST, ""), ("", HOST)]:
        add(f"Hosts {first!r} {second!r}", get(host=f"Host: {first}\r\nHost: {second}\r\n"))
    for name in ["Host ", "Host\t", " Host", "HOST", "Host\0", "H ost", "\x0bHost"]:
        add(f"Host named {name!r}", get(host=f"{name}: {HOST}\r\n"))
    add("Host folded", get(host=f"Host:\r\n {HOST}\r\n"))
    add("Host and a fold", get(host=f"Host: {HOST}\r\n other\r\n"))
    add("Host and X-Host", get(fields="X-Host: other\r\nX-Forwarded-Host: other\r\n"))


def fields():
    for line in ["X : 1", "X\t: 1", " X: 1", "\tX: 1", "X", ":", ": 1", ":1", "X 1", "X=1", "X\0: 1", "\0X: 1",
                 "X: \0", "X: 1\0", "X: \x01", "X: \x1f", "X: \x7f", "X: a\rb",
                 "X: a\nb", "X: a\n b", "X: 1\r", "\rX: 1", "X\r: 1", "X\n: 1", "X: \xe9", "X\xe9: 1", "X(: 1",
                 "X/: 1", "X@: 1", "X[: 1", "X{: 1", "X\": 1", "X,: 1", "X;: 1",
                 "X_Y: 1", "X.Y: 1", "X!#$%&'*+-.^_`|~: 1", "X:", "X:   ", "X: 1\r\n\t2", "X: 1\r\n 2", "X: 1\r\n  ",
                 "X: 1\r\n\r", "X:1\x0b", "X:\x0c1", "X: \"", "X: \\",
                 "X: " + "a" * 40000, "a" * 40000 + ": 1", "\xa0X: 1", "X\xa0: 1"]:
        add(f"field {line if len(line) < 99 else 'of 40000 bytes ' + line[0]!r}", get(fields=line + "\r\n"))
    add("first field folded", f"GET /x HTTP/1.1\r\n X: 1\r\nHost: {HOST}\r\n\r\n")
    add("first field by a tab", f"GET /x HTTP/1.1\r\n\tHost: {HOST}\r\n\r\n")
    add("300 fields", get(fields="".join(f"X{i}: 1\r\n" for i in range(300))))
    add("200 KB of fields", get(fields="".join(f"X{i}: {'a' * 4000}\r\n" for i in range(50))))
    add("empty line of a blank", f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n \r\n")
    add("empty line in LF", f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\n")
    add("empty line in CR", f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r{SMUGGLED}")
    add("field ends in LF", f"GET /x HTTP/1.1\r\nHost: {HOST}\nX: 1\r\n\r\n")
    add("field ends in CR", f"GET /x HTTP/1.1\r\nHost: {HOST}\rX: 1\r\n\r\n")
    add("field ends in LF CR", f"GET /x HTTP/1.1\r\nHost: {HOST}\n\rX: 1\r\n\r\n")
    for name, one, two in [("Content-Type", "text/plain", "text/html"), ("Authorization", "Basic eDp5", "Basic eTp4"),
                           ("X-Stage", "a", "b"),
                           ("Cookie", "a=1", "a=2"), ("Expect", "100-continue", "100-continue"), ("If-Modified-Since",
                           "x", "y"), ("Range", "bytes=0-1", "bytes=2-3"),
                           ("If-Unmodified-Since", "x", "y"), ("If-Match", "x", "y"), ("If-None-Match", "x", "y"),
                           ("If-Range", "x", "y"), ("Upgrade", "x", "y"),
                           ("Content-Encoding", "x", "y"), ("TE", "x", "y"), ("Origin", "x", "y"), ("Via", "x", "y"),
                           ("Date", "x", "y"), ("From", "x", "y"),
                           ("User-Agent", "a", "b"), ("Referer", "a", "b"), ("Max-Forwards", "1", "2"),
                           ("X-Forwarded-For", "192.0.2.1", "192.0.2.2")]:
        add(f"twice: {name}", get(fields=f"{name}: {one}\r\n{name}: {two}\r\n"))


def connections():
    for fields_ in ["Expect: x", "Expect: 100-Continue", "Expect: 100-continue, x", "Expect:",
                    "Expect: 100-continue\r\nContent-Length: 5", "Connection: close, close",
                    "Connection: keep-alive, close", "Connection: x", "Connection:", "Connection: ,",
                    "Connection: Host", "Connection: X-Forwarded-For", "Connection: \xff",
                    "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
                    "Connection: Upgrade\r\nUpgrade: websocket",
                    "Connection: Upgrade\r\nUpgrade: x", "Upgrade: websocket", "TE: chunked", "TE: trailers",
                    "TE: trailers, deflate", "Trailer: Content-Length",
                    "Keep-Alive: x", "Proxy-Connection: close", "Proxy-Authorization: x", "Max-Forwards: 0",
                    "Max-Forwards: x", "Accept-Encoding: x\0",
                    "X-Forwarded-For: x\r\nX-Forwarded-Proto: x", "Content-Encoding: x"]:
        add(f"with {fields_.splitlines()[-1]!r} {len(fields_)}",
        get(fields=fields_ + "\r\n") + (BODY if "Length: 5" in fields_ else ""))
    for method in ("OPTIONS", "TRACE"):
        for hops in ("0", "3", "x"):
            add(f"{method} with Max-Forwards {hops}", get(f"{method} /x HTTP/1.1", f"Max-Forwards: {hops}\r\n"))
    add("two requests", get() + get("GET /y HTTP/1.1"))
    add("two bodies", post("Content-Length: 3\r\n", "abc") + post("Transfer-Encoding: chunked\r\n", CHUNKS,
    "POST /y HTTP/1.1"))
    add("CR LF behind a body", post("Content-Length: 3\r\n", "abc\r\n") + get("GET /y HTTP/1.1"))
    add("LF behind a body", post("Content-Length: 3\r\n", "abc\n") + get("GET /y HTTP/1.1"))
    add("a byte behind a body", post("Content-Length: 3\r\n", "abcX") + get("GET /y HTTP/1.1"))
    add("a bad request behind a good one", get() + "GET /y HTTP/1.1\r\nX y\r\n\r\n" + SMUGGLED)
    add("a request behind close", get(fields="Connection: close\r\n") + SMUGGLED)
    add("a request behind HTTP/1.0", get("GET /x HTTP/1.0") + SMUGGLED)
    add("a request behind Upgrade", get(fields="Connection: Upgrade\r\nUpgrade: x\r\n") + SMUGGLED)


for group in (lengths, codings, both, chunks, lines, targets, hosts, fields, connections):
    group()
