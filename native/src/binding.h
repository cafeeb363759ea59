// A bound UDP socket that many server connections share, and the listeners on it.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "library.h"
#include "object.h"
#include "quic_api.h"
#include "udp.h"

namespace kwik {

class Listener;

// One worker (the reader) receives; datagrams of connections of other workers are handed over, whole batches without a copy. All workers send on it directly.
// Its users are its listeners and connections; with the last one the socket is closed, so connections survive the end of their listener.
class Binding final : public Actor, public Readable {
public:
    // Bytes that may wait for one worker: a burst while it is busy. Beyond it they are dropped, as the kernel drops what nobody reads.
    static constexpr std::size_t max_undelivered = 16 * 1024 * 1024;

    // Finds the binding of `local` or makes one, and counts the caller as a user. Status: ADDRESS_IN_USE, INVALID_ADDRESS (not one of this host), OUT_OF_MEMORY, INTERNAL_ERROR.
    static abi::Status acquire(Library& library, const Address& local, Ref<Binding>& out) noexcept;
    void add_user() noexcept;
    // The socket is closed on the reader's thread, if nobody came meanwhile. On the reader this happens before the call returns.
    void drop_user() noexcept;

    // ALPN_IN_USE when another listener on this socket has one of the protocols; OUT_OF_MEMORY.
    abi::Status add_listener(Listener& listener) noexcept;
    void remove_listener(Listener& listener) noexcept;
    // The listener for a client's protocols with its chosen protocol in `alpn`, or nullptr. The listener is kept from stopping until its end_callback().
    Ref<Listener> begin_callback(std::span<const std::uint8_t> offered, std::span<const std::uint8_t>& alpn) noexcept;

    // Asks the sender of a first packet to come again with the token of a Retry packet.
    void retry(Worker& worker, const ngtcp2_pkt_hd& header, const Address& local, const Address& remote) noexcept;

    const Address& local() const noexcept { return socket_.local(); }
    Worker& reader() const noexcept { return reader_; }
    UdpSocket& socket() noexcept { return socket_; }

    void on_readable() noexcept override;
    void execute(Command& command) noexcept override;

private:
    enum Op : std::uint32_t { op_watch, op_datagrams, op_close_if_unused };
    struct Parcel;  // A batch on its way to another worker.

    Binding(Library& library, Worker& reader) noexcept : library_(library), reader_(reader) {}
    void close_if_unused() noexcept;
    void route(ReceivedBatch& batch) noexcept;
    void hand_over(Worker& worker, ReceivedBatch&& batch) noexcept;
    static std::size_t weight_of(const ReceivedBatch& batch) noexcept;
    void deliver(Worker& worker, const ReceivedBatch& batch) noexcept;
    void negotiate_version(const ngtcp2_version_cid& header, std::size_t length, const Address& local, const Address& remote) noexcept;
    void reset(const ngtcp2_version_cid& header, std::size_t length, const Address& local, const Address& remote) noexcept;
    void refuse_token(const ngtcp2_pkt_hd& header, const Address& local, const Address& remote) noexcept;
    void answer(std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept;
    void accept(Worker& worker, std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept;

    Library& library_;
    Worker& reader_;
    UdpSocket socket_;
    unsigned users_ = 0;         // Guarded by library_.bindings_mutex.
    bool close_posted_ = false;  // Likewise.
    ReservedCommand close_place_;
    std::mutex listeners_mutex_;
    std::vector<Listener*> listeners_;
    ReceivedBatch batch_;  // The reader's, used again.
};

}  // namespace kwik
