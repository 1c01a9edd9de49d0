# The image for GitLab's jobs and for laptops: secure-build, and a BuildKit that
# it starts for itself as an ordinary user. make image puts its parts into
# bin/image, and secure-build builds it:
#
#   make image
#   secure-build build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
#     --provenance=false -f Dockerfile -t registry.example.com/secure-build:1 --push bin/image
#
# All of it is one archive, with the owners, modes and times of its files, and no
# step runs: the same parts give the same digest. BASE puts it on top of another
# image, such as debian:12-slim, for jobs that need more than a shell.
ARG BASE=scratch
FROM ${BASE}
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/home/user
USER 1000:1000
ENTRYPOINT ["/usr/bin/entrypoint.sh"]
CMD ["--help"]
