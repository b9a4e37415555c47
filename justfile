# Long runs and shortcuts; needs https://just.systems. Every recipe is one command that also works without just.

# List the recipes.
default:
    @just --list

# Run everything that a change must pass.
ci:
    .ci/run

# Run the test suite.
test *ARGS:
    cargo test {{ARGS}}

# Kill real processes and cut real connections at random FAULTS times.
chaos FAULTS="40":
    CHAOS_FAULTS={{FAULTS}} cargo test --release --test it chaos -- --nocapture

# Cut connections at random in virtual time, for SEEDS different seeds.
outages SEEDS="500":
    CHAOS_SEEDS={{SEEDS}} cargo test --release --test it outages::at_random -- --nocapture

# Resume a sparse file of GIB GiB and print the memory that both ends use.
resume-huge GIB="20":
    RESUME_GIB={{GIB}} cargo test --release --test it a_huge_file -- --nocapture

# Offer ENTRIES entries, and print the memory and the processor time of both ends.
manifest ENTRIES="999000":
    MANIFEST_ENTRIES={{ENTRIES}} cargo test --release --test it manifest_cost -- --nocapture

# Time the download of one file of 10,000; needs an idle machine.
selection:
    cargo test --release --test it one_file_of_ten_thousand -- --ignored --nocapture

# Run one scenario on the virtual and on the real clock; needs an idle machine.
clocks:
    cargo test --release --test it both_clocks_agree -- --ignored --nocapture

# Download to real file systems: exFAT, NTFS, FAT, tmpfs and overlayfs, as far as this machine can mount them. Needs root.
real-disks:
    cargo test --test it real_disks -- --ignored --nocapture --test-threads 1

# Send and receive on emulated local networks: hosts in network namespaces on bridges. Needs root, Linux, iproute2 and nftables.
local-network:
    cargo test --test it local_network -- --ignored --nocapture --test-threads 1

# Record a real run and write the pictures of the README, docs/demo-*.svg.
picture:
    cargo test --test it picture -- --ignored

# Time whole transfers.
bench:
    cargo bench --bench transfer

# Print the import graph.
graph:
    cargo test --test it layers -- --nocapture
