// A UDP socket as QUIC wants it: batches of equal segments in and out (GSO, GRO), the local address of each datagram, no fragmentation.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "abi.h"
#include "address.h"
#include "buffer_pool.h"

namespace kwik {

// Datagrams of one sender that arrived together: `segment_size` bytes each, the last one possibly shorter.
struct ReceivedBatch {
    BufferPool::Chunk memory;
    std::size_t length = 0;
    std::size_t segment_size = 0;
    Address remote;
    Address local;  // With the port of the socket.
};

// Sending is safe from any thread; everything else belongs to one.
class UdpSocket {
public:
    static constexpr std::size_t max_batch_bytes = 65'000;    // Below the kernel's limit for one GSO send, headers included.
    static constexpr std::size_t max_batch_segments = 64;     // UDP_MAX_SEGMENTS of older kernels.
    static constexpr int socket_buffer_bytes = 4 * 1024 * 1024;

    UdpSocket() = default;
    ~UdpSocket() { close(); }
    UdpSocket(const UdpSocket&) = delete;
    UdpSocket& operator=(const UdpSocket&) = delete;

    // Binds to a local address. Family 0 and the IPv6 wildcard give a dual-stack socket, on which IPv4 appears as mapped addresses inside of the library.
    // 0 or errno (EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE ...).
    [[nodiscard]] int bind(const Address& local) noexcept;
    // A socket with one peer, so that the kernel reports its ICMP errors to us. `local` may be unspecified. 0 or errno (ENETUNREACH, EADDRINUSE ...).
    [[nodiscard]] int connect(const Address& local, const Address& remote) noexcept;
    void close() noexcept;

    int fd() const noexcept { return fd_; }
    const Address& local() const noexcept { return local_; }

    // Sends `bytes` as datagrams of segment_size (the last may be shorter) from `local` to `remote`; both are ignored on a connected socket. At most max_batch_segments and max_batch_bytes.
    // 0: handed to the kernel (or dropped for its size, as a probe of the path's size may be). EAGAIN: the socket's buffer is full, nothing was sent. Otherwise the error of the network,
    // e.g. ECONNREFUSED, ENETUNREACH.
    [[nodiscard]] int send(std::span<const std::uint8_t> bytes, std::size_t segment_size, const Address& local, const Address& remote) noexcept;

    // 0 and a batch; EAGAIN when there is none; ENOMEM; ECONNREFUSED, EHOSTUNREACH and such for an ICMP error on a connected socket.
    [[nodiscard]] int receive(ReceivedBatch& batch) noexcept;

private:
    int open(sa_family_t family, bool dual_stack) noexcept;
    int send_once(std::span<const std::uint8_t> bytes, std::size_t segment_size, const Address& local, const Address& remote) noexcept;

    int fd_ = -1;
    sa_family_t family_ = AF_UNSPEC;
    bool connected_ = false;
    bool wildcard_ = false;
    std::atomic<bool> segmentation_{true};  // Cleared for good when the device refuses GSO.
    Address local_;
};

}  // namespace kwik
