# Runs a program in a pseudo-terminal: terminal.py <columns> <script> <program> [argument...]
# The script is JSON: lists of what to wait for in the output, what to type then, and shell commands to run before that. Prints all that the terminal received.
import fcntl, json, os, pty, struct, sys, termios

columns, script, program = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execvp(program[0], program)
seen, at = b"", 0
while True:
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    if not chunk:
        break
    seen += chunk
    while script and script[0][0].encode() in seen[at:]:
        expected, typed, *commands = script.pop(0)
        at = seen.index(expected.encode(), at) + len(expected)
        for command in commands:
            os.system(command)
        os.write(terminal, typed.encode())
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(seen)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) % 256)
