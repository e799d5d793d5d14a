"""What the README's tour needs of curl, for machines that have none."""

import argparse
import sys
import urllib.error
import urllib.request


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-S", action="store_true")
    parser.add_argument("-g", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("url")
    asked = parser.parse_args()
    request = urllib.request.Request(
        asked.url,
        data=None if asked.body is None else asked.body.encode(),
        headers=dict(header.split(": ", 1) for header in asked.headers),
        method=asked.method,
    )
    try:
        response = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        response = error
    sys.stdout.buffer.write(response.read())


if __name__ == "__main__":
    main()
