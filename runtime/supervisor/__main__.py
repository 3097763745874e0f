"""Entry of the supervisor: ``python -I -S <this file> <channel fd> <room for the title>``, started by ``spawn``.

Isolated mode and no ``site`` save a third of the interpreter's start; the package's folder is put on the path by hand, after the standard library.
"""

import os
import sys

if __name__ == "__main__":
    if os.fork():  # detach at once: whoever started us reaps this one, and the supervisor is nobody's child
        os._exit(0)
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from runtime.supervisor.keeper import main

    main(int(sys.argv[1]))
