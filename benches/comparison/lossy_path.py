#!/usr/bin/env python3
"""Emulates a path between two hosts in network namespaces: rate, delay, random loss and a bounded queue.

    lossy_path.py MBIT_PER_S ONE_WAY_MS LOSS_PERCENT TCP_CONGESTION_CONTROL

creates the namespaces `qcmp-a` (10.77.0.1) and `qcmp-b` (10.77.0.2), prints `ready`, and carries IP packets between
them until SIGTERM. The loss applies to each direction. The queue of each direction holds one bandwidth-delay product.
Needs root, Linux and iproute2, but no netem, which many kernels of virtual machines lack.
"""
import collections, fcntl, os, random, select, signal, struct, subprocess, sys, time

HOSTS = [("qcmp-a", "10.77.0.1"), ("qcmp-b", "10.77.0.2")]
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def open_tun(name, namespace, address, congestion_control):
    """Creates a device, moves it to a new namespace, and returns its file descriptor here."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)
    ip("netns", "add", namespace)
    ip("link", "set", name, "netns", namespace)
    ip("-n", namespace, "link", "set", "lo", "up")
    ip("-n", namespace, "addr", "add", address + "/24", "dev", name)
    ip("-n", namespace, "link", "set", name, "mtu", "1500", "txqueuelen", "10000", "up")
    ip("-n", namespace, "route", "change", "10.77.0.0/24", "dev", name, "congctl", congestion_control)
    return fd


class Direction:
    """Packets from one device to the other, in order, each with the time at which it arrives."""

    def __init__(self, source, target, rate, delay, loss):
        self.source, self.target, self.rate, self.delay, self.loss = source, target, rate, delay, loss
        self.queue_limit = 2 * delay  # seconds of sending
        self.packets, self.free_at = collections.deque(), 0.0

    def take(self, now):
        for _ in range(64):
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            start = max(now, self.free_at)
            if start - now > self.queue_limit:
                continue
            self.free_at = start + len(packet) / self.rate
            if random.random() >= self.loss:
                self.packets.append((self.free_at + self.delay, packet))

    def deliver(self, now):
        while self.packets and self.packets[0][0] <= now:
            os.write(self.target, self.packets.popleft()[1])


def main():
    rate, delay, loss = float(sys.argv[1]) * 1e6 / 8, float(sys.argv[2]) / 1e3, float(sys.argv[3]) / 100
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    random.seed(1)
    try:
        a, b = (open_tun(f"qcmp{n}", *host, sys.argv[4]) for n, host in enumerate(HOSTS))
        directions = [Direction(a, b, rate, delay, loss), Direction(b, a, rate, delay, loss)]
        print("ready", flush=True)
        while True:
            due = min((d.packets[0][0] for d in directions if d.packets), default=time.monotonic() + 1)
            select.select([a, b], [], [], max(0, due - time.monotonic()))
            now = time.monotonic()
            for direction in directions:
                direction.take(now)
                direction.deliver(now)
    finally:
        for namespace, _ in HOSTS:
            subprocess.run(["ip", "netns", "del", namespace])


if __name__ == "__main__":
    main()
