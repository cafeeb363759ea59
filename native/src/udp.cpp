#include "udp.h"

#include <netinet/udp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace kwik {

namespace {

void set_option(int fd, int level, int name, int value) noexcept {
    // Options only improve service: a kernel without one still carries datagrams.
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

void set_buffer(int fd, int forced, int ordinary, int bytes) noexcept {
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) (void)setsockopt(fd, SOL_SOCKET, ordinary, &bytes, sizeof bytes);
}

template <class T>
void put(msghdr& message, cmsghdr*& header, int level, int type, const T& value) noexcept {
    header = header == nullptr ? CMSG_FIRSTHDR(&message) : CMSG_NXTHDR(&message, header);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(header), &value, sizeof value);
}

}  // namespace

int UdpSocket::open(sa_family_t family, bool dual_stack) noexcept {
    fd_ = ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return errno;
    family_ = family;
    set_buffer(fd_, SO_RCVBUFFORCE, SO_RCVBUF, socket_buffer_bytes);
    set_buffer(fd_, SO_SNDBUFFORCE, SO_SNDBUF, socket_buffer_bytes);
    set_option(fd_, IPPROTO_UDP, UDP_GRO, 1);
    if (family == AF_INET6) {
        set_option(fd_, IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1);
        set_option(fd_, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
    if (family == AF_INET || dual_stack) set_option(fd_, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    return 0;
}

int UdpSocket::bind(const Address& requested) noexcept {
    Address local = requested;
    if (local.family() == AF_UNSPEC) local.v6.sin6_family = AF_INET6;  // sin6_port and sin_port share their place.
    const bool any = local.is_wildcard();
    if (const int error = open(local.family(), any && local.family() == AF_INET6)) return error;
    if (::bind(fd_, &local.base, local.length()) != 0) {
        const int error = errno;
        close();
        return error;
    }
    wildcard_ = any;
    if (any) {
        if (family_ == AF_INET6) set_option(fd_, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        else set_option(fd_, IPPROTO_IP, IP_PKTINFO, 1);
    }
    socklen_t length = sizeof local_;
    if (getsockname(fd_, &local_.base, &length) != 0) return errno;
    return 0;
}

int UdpSocket::connect(const Address& local, const Address& remote) noexcept {
    const Address peer = remote.unmapped();
    if (const int error = open(peer.family(), false)) return error;
    Address own = local.unmapped();
    if (own.family() == AF_UNSPEC || (own.family() != peer.family() && own.is_wildcard())) {
        const std::uint16_t port = own.family() == AF_UNSPEC ? 0 : own.port();
        own = Address();
        own.base.sa_family = peer.family();
        own.set_port(port);
    }
    int error = 0;
    if ((!own.is_wildcard() || own.port() != 0) && ::bind(fd_, &own.base, own.length()) != 0) error = errno;
    if (error == 0 && ::connect(fd_, &peer.base, peer.length()) != 0) error = errno;
    socklen_t length = sizeof local_;
    if (error == 0 && getsockname(fd_, &local_.base, &length) != 0) error = errno;
    if (error != 0) {
        close();
        return error;
    }
    connected_ = true;
    return 0;
}

void UdpSocket::close() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

int UdpSocket::send_once(std::span<const std::uint8_t> bytes, std::size_t segment_size, const Address& local, const Address& remote) noexcept {
    iovec data{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint16_t)) + CMSG_SPACE(sizeof(in6_pktinfo))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = nullptr;
    std::size_t used = 0;
    if (bytes.size() > segment_size) {
        put(message, header, IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(segment_size));
        used += CMSG_SPACE(sizeof(std::uint16_t));
    }
    Address peer;
    if (!connected_) {
        peer = family_ == AF_INET6 ? remote.mapped() : remote;
        message.msg_name = &peer.base;
        message.msg_namelen = peer.length();
        // On a wildcard socket the answer must leave from the address that was asked.
        if (wildcard_ && family_ == AF_INET6) {
            in6_pktinfo info{};
            info.ipi6_addr = local.mapped().v6.sin6_addr;
            put(message, header, IPPROTO_IPV6, IPV6_PKTINFO, info);
            used += CMSG_SPACE(sizeof info);
        } else if (wildcard_) {
            in_pktinfo info{};
            info.ipi_spec_dst = local.v4.sin_addr;
            put(message, header, IPPROTO_IP, IP_PKTINFO, info);
            used += CMSG_SPACE(sizeof info);
        }
    }
    message.msg_controllen = used;
    if (used == 0) message.msg_control = nullptr;
    for (;;) {
        if (::sendmsg(fd_, &message, MSG_NOSIGNAL) >= 0) return 0;
        if (errno != EINTR) return errno;
    }
}

int UdpSocket::send(std::span<const std::uint8_t> bytes, std::size_t segment_size, const Address& local, const Address& remote) noexcept {
    int error = 0;
    if (segmentation_.load(std::memory_order_relaxed) || bytes.size() <= segment_size) {
        error = send_once(bytes, segment_size, local, remote);
        if (error == EMSGSIZE) return 0;
        const bool refused = error == EIO || error == EINVAL || error == ENOPROTOOPT || error == EOPNOTSUPP;
        if (!refused || bytes.size() <= segment_size) return error == ENOBUFS ? EAGAIN : error;
    }
    while (!bytes.empty()) {
        error = send_once(bytes.first(std::min(segment_size, bytes.size())), segment_size, local, remote);
        // The address may be what was refused, and is a stranger's choice.
        if (error == 0) segmentation_.store(false, std::memory_order_relaxed);
        // What the kernel does not take after the first datagram is lost on the way, which QUIC repairs; reporting EAGAIN here would send the first ones twice.
        if (error != 0 && error != EMSGSIZE && error != EAGAIN && error != ENOBUFS) return error;
        bytes = bytes.subspan(std::min(segment_size, bytes.size()));
    }
    return 0;
}

int UdpSocket::receive(ReceivedBatch& batch) noexcept {
    if (!batch.memory) batch.memory = BufferPool::take(BufferPool::chunk_size);
    if (!batch.memory) return ENOMEM;
    iovec data{batch.memory.get(), BufferPool::chunk_size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))];
    msghdr message{};
    message.msg_name = &batch.remote;
    message.msg_namelen = sizeof batch.remote;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t length;
    do length = ::recvmsg(fd_, &message, 0);
    while (length < 0 && errno == EINTR);
    if (length < 0) return errno;
    batch.length = static_cast<std::size_t>(length);
    batch.segment_size = batch.length;
    batch.local = local_;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
            int size;
            std::memcpy(&size, CMSG_DATA(header), sizeof size);
            if (size > 0) batch.segment_size = static_cast<std::size_t>(size);
        } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info;
            std::memcpy(&info, CMSG_DATA(header), sizeof info);
            batch.local.v6.sin6_addr = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) batch.local.v6.sin6_scope_id = info.ipi6_ifindex;
        } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO && family_ == AF_INET) {
            in_pktinfo info;
            std::memcpy(&info, CMSG_DATA(header), sizeof info);
            batch.local.v4.sin_addr = info.ipi_addr;
        }
    }
    return 0;
}

}  // namespace kwik
