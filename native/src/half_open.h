// Counts the server connections whose handshake is under way. Anybody can make us keep one with a single packet from an invented address; where they are many, newcomers first have to
// prove by a Retry that they get what is sent to their address (RFC 9000, 8.1.2).
#pragma once

#include <atomic>
#include <cstdint>

namespace kwik {

// One handshake under way, from its construction to end(), which is its destruction at the latest.
class HalfOpen {
public:
    // `counts`: false for connections that nobody else can bring about.
    explicit HalfOpen(bool counts) noexcept : counts_(counts) { if (counts_) count_.fetch_add(1, std::memory_order_relaxed); }
    ~HalfOpen() { end(); }
    HalfOpen(const HalfOpen&) = delete;
    HalfOpen& operator=(const HalfOpen&) = delete;
    void end() noexcept {
        if (counts_) count_.fetch_sub(1, std::memory_order_relaxed);
        counts_ = false;
    }

    // True while all of the process together may take more memory than their share. Any thread.
    static bool are_many() noexcept { return count_.load(std::memory_order_relaxed) >= limit_.load(std::memory_order_relaxed); }
    // QUIC_PARAM_GLOBAL_RETRY_MEMORY_PERCENT, which despite its name is in 1/65535 of the machine's memory. MsQuic's default is 65, a thousandth; 0: every client has to prove its address.
    static void set_memory_share(std::uint16_t share) noexcept;

    static constexpr std::uint64_t bytes_each = 88 * 1024;  // As measured: ngtcp2's state, GnuTLS' session and the certificate's flight.

private:
    bool counts_;
    static std::atomic<std::uint64_t> count_;
    static std::atomic<std::uint64_t> limit_;
};

}  // namespace kwik
