// One QUIC connection: ngtcp2's state, the TLS session, the streams, and the events that the application sees.
//
//   opened --ConnectionStart, or a client's Initial--> handshaking --handshake completed--> connected (CONNECTED)
//     |                                                     |                                   |
//     `----------------------------end(cause)---------------'-----------------------------------'--> ended (SHUTDOWN_COMPLETE) --100 ms--> gone
//
// The last phase only answers stragglers with the packet that closed the connection. All fields are the worker's unless they say otherwise. Application callbacks never run inside a
// call of ngtcp2: its callbacks record, and deliver() reports afterwards.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "binding.h"
#include "chain.h"
#include "configuration.h"
#include "end_cause.h"
#include "half_open.h"
#include "quic_api.h"
#include "queue.h"
#include "quic_memory.h"
#include "stream.h"
#include "tls.h"
#include "wire.h"

namespace kwik {

// Flow control windows grow up to this while the application keeps up with the network; bytes.
inline constexpr std::uint64_t largest_window = 16 * 1024 * 1024;

class Connection final : public Actor, public Handle, public Timed, public Deferred, public Readable, private FrameSink {
public:
    // The application's side, any thread. ------------------------------------------------------------------------
    // A client's connection, on the next worker. nullptr: out of memory.
    static Connection* open(Library& library, abi::ConnectionCallback callback, void* context) noexcept;
    // PENDING; INVALID_STATE unless opened and the configuration has a credential; INVALID_PARAMETER without an address or a name to resolve; NOT_FOUND if it cannot be resolved;
    // OUT_OF_MEMORY. Later failures are events.
    abi::Status start(Configuration& configuration, std::uint16_t family, const char* server_name, std::uint16_t port) noexcept;
    // The server's answer to NEW_CONNECTION. PENDING; INVALID_STATE without a credential; OUT_OF_MEMORY. Only the first one counts.
    abi::Status set_configuration(Configuration& configuration) noexcept;
    abi::Status complete_certificate_validation(bool accept, std::uint32_t alert) noexcept;  // PENDING; OUT_OF_MEMORY.
    void shutdown(std::uint32_t flags, std::uint64_t error) noexcept;
    // Gives back the application's reference, see Stream::close. An open connection is closed with code 0.
    void close() noexcept;
    void set_callback(abi::ConnectionCallback callback, void* new_context) noexcept { callback_ = callback; context = new_context; }
    // SUCCESS, NOT_SUPPORTED, INVALID_PARAMETER (a wrong length), INVALID_STATE (after the start).
    abi::Status set_param(std::uint32_t param, std::span<const std::uint8_t> value) noexcept;
    // SUCCESS, NOT_SUPPORTED, INVALID_STATE (not known yet), BUFFER_TOO_SMALL with the needed length in `length`.
    abi::Status get_param(std::uint32_t param, std::uint32_t& length, void* out) noexcept;
    // SUCCESS while streams may be opened; after the end 125 (ABORTED) if the peer closed, 1 (INVALID_STATE) otherwise.
    abi::Status open_status() const noexcept { return open_status_.load(std::memory_order_acquire); }
    // What StreamSend answers after the end: ABORTED tells .NET to wait for the event with the cause, INVALID_STATE that it was its own doing.
    abi::Status ended_status_for_send() const noexcept { return send_status_.load(std::memory_order_acquire); }
    // How many bytes of copies a stream may hold (bytes, 256 KiB to 4 MiB): twice the congestion window, so that the network never waits for the application.
    std::uint64_t send_budget() const noexcept { return send_budget_.load(std::memory_order_relaxed); }
    Worker& worker() const noexcept { return worker_; }

    // The worker's side. -----------------------------------------------------------------------------------------
    // A client's first Initial packet on a shared socket. `original`: after a valid Retry token, the id that the client chose at first; nullptr without one. Failures need no report:
    // the client tries again.
    static void accept(Library& library, Worker& worker, Ref<Binding> binding, const ngtcp2_pkt_hd& header, const ngtcp2_cid* original, std::span<const std::uint8_t> datagram,
                       const Address& local, const Address& remote) noexcept;
    // One datagram. Events and answers follow when the worker has read what there is.
    void receive(std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept;
    void execute(Command& command) noexcept override;
    void on_timer(std::uint64_t now) noexcept override;
    void on_readable() noexcept override;
    void run_deferred() noexcept override;

    // For Stream.
    ngtcp2_conn* quic() const noexcept { return quic_; }
    bool ended() const noexcept { return state_ == State::ended; }
    const EndCause& cause() const noexcept { return cause_; }
    std::uint64_t round_trip() const noexcept { return round_trip_; }  // Nanoseconds, smoothed; as of the last flush.
    std::uint64_t stream_window(const Stream& stream) const noexcept;  // What the peer was told at first; bytes.
    void start_stream(Stream& stream, std::uint32_t flags) noexcept;
    void touch(Stream& stream) noexcept;
    void queue_to_send(Stream& stream) noexcept;
    void schedule() noexcept { worker_.defer(*this, *this); }
    void forget(Stream& stream) noexcept;
    // Ends the connection, at the end of this turn, because it forgot something that somebody waits for. Anywhere, also inside of a call of ngtcp2.
    void run_out_of_memory() noexcept {
        out_of_memory_ = true;
        schedule();
    }
    // The result of a call of ngtcp2 that only memory matters to.
    void check_memory(int rv) noexcept { if (rv == NGTCP2_ERR_NOMEM) run_out_of_memory(); }
    abi::Status indicate(abi::ConnectionEvent& event) noexcept;

private:
    enum class State { opened, handshaking, connected, ended };
    enum Op : std::uint32_t { op_start, op_configure, op_validated, op_shutdown, op_close };
    struct Unsent { std::vector<std::uint8_t> bytes; std::size_t segment; Address local; Address remote; };
    struct StopSending { std::int64_t stream; std::uint64_t error; };

    Connection(Library& library, Worker& worker, bool server) noexcept;
    ~Connection() override;

    // connection.cpp: life.
    void begin(Configuration& configuration) noexcept;
    void configure(Configuration& configuration) noexcept;
    void finish_validation(bool accept, std::uint32_t alert) noexcept;
    EndCause cause_of(int liberr) const noexcept;
    void end(const EndCause& cause) noexcept;
    void end_streams() noexcept;
    void leave() noexcept;
    void release_quic() noexcept;

    // connection_quic.cpp: making the ngtcp2_conn, and its callbacks.
    bool make_client(const TransportSettings& settings) noexcept;
    bool make_server(const ngtcp2_pkt_hd& header, const ngtcp2_cid* original) noexcept;
    static void fill_callbacks(ngtcp2_callbacks& callbacks) noexcept;
    static void fill_params(ngtcp2_transport_params& params, const TransportSettings& settings) noexcept;
    void fill_settings(ngtcp2_settings& settings) noexcept;
    ngtcp2_path path() noexcept;
    int on_crypto_data(ngtcp2_encryption_level level, std::uint64_t offset, std::span<const std::uint8_t> bytes) noexcept;
    std::size_t longest_packet(const ngtcp2_conn_info& info) noexcept;
    int on_stream_open(std::int64_t id) noexcept;
    bool is_out_of_memory() const noexcept { return out_of_memory_ || memory_.is_out(); }
    int without_memory() noexcept;  // The result of a callback of ngtcp2 that found none.
    int refuse_handshake() noexcept;  // The result of the one that was given more than may be kept.
    void stop_sending(std::int64_t stream, std::uint64_t error) noexcept override;
    void stream_fin(std::int64_t stream) noexcept override;
    void reset_stream(std::int64_t stream, std::uint64_t error, std::uint64_t final_size, std::size_t offset, std::size_t length) noexcept override;
    friend struct Quic;  // ngtcp2's C callbacks, in connection_quic.cpp.

    // connection_io.cpp: events, packets, time.
    void deliver() noexcept;
    void deliver_hello() noexcept;
    void deliver_certificate() noexcept;
    void deliver_streams_available() noexcept;
    void deliver_connected() noexcept;
    void deliver_peer_address() noexcept;
    void open_waiting(int kind) noexcept;
    void flush() noexcept;
    ngtcp2_ssize write_packet(std::uint8_t* out, std::size_t size, ngtcp2_path_storage& path) noexcept;
    bool send_batch(std::span<const std::uint8_t> bytes, std::size_t segment, const ngtcp2_path& path) noexcept;
    bool send_unsent() noexcept;
    void on_send_error(int error) noexcept;
    UdpSocket& socket() noexcept { return server_ ? binding_->socket() : socket_; }
    void write_close(bool application, std::uint64_t error) noexcept;
    void answer_straggler(const Address& local, const Address& remote) noexcept;
    void send_close_packet(const Address& local, const Address& remote) noexcept;
    int handle_expiry(std::uint64_t now) noexcept;
    void arm_timer() noexcept;

    Library& library_;
    Worker& worker_;
    const bool server_;
    HalfOpen half_open_;
    abi::ConnectionCallback callback_ = nullptr;
    State state_ = State::opened;
    EndCause cause_;
    Ref<Connection> self_;  // Held while timers, sockets and tables refer to this.

    std::atomic<abi::Status> open_status_{abi::success};
    std::atomic<abi::Status> send_status_{abi::invalid_state};
    std::atomic<std::uint64_t> send_budget_{256 * 1024};
    std::atomic<bool> start_called_{false};
    std::atomic<bool> configured_{false};
    std::atomic<bool> shutdown_called_{false};
    ReservedCommand shutdown_place_, close_place_;
    std::atomic<bool> end_reported_{false};
    std::atomic<bool> closed_{false};  // The application closed the handle.
    bool announced_ = false;           // The application has the handle.

    // Shown to the application's threads.
    std::mutex shown_mutex_;
    Address local_;    // Guarded by shown_mutex_ for writing, and for reading on other threads.
    Address remote_;
    HandshakeInfo handshake_info_;
    bool handshake_info_known_ = false;
    TlsSecrets* secrets_ = nullptr;  // The application's.

    QuicMemory memory_;
    ngtcp2_conn* quic_ = nullptr;
    std::unique_ptr<TlsSession> tls_;
    Ref<Configuration> configuration_;
    std::string server_name_;
    UdpSocket socket_;     // A client's own: connected, so that ICMP errors come here and the kernel does the routing.
    Ref<Binding> binding_; // A server's shared one.
    std::vector<ngtcp2_cid> ids_;  // Ours, in the worker's table (server only).

    std::vector<std::uint8_t> hello_;  // The ClientHello until there is a configuration.
    bool handshake_done_ = false;
    bool validation_answered_ = false;
    bool streams_available_due_ = false;
    bool streams_reported_ = false;
    bool peer_moved_ = false;
    bool reset_received_ = false;
    bool out_of_memory_ = false;
    bool handshake_too_long_ = false;
    bool timer_reserved_ = false;
    std::uint64_t handshake_deadline_ = TimerHeap::never;
    std::uint64_t round_trip_ = 0;
    // See longest_packet; nanoseconds.
    std::uint64_t progress_at_ = 0;
    std::uint64_t short_packets_until_ = 0;
    std::uint64_t short_packets_for_ = 0;

    std::unordered_map<std::int64_t, Ref<Stream>> streams_;  // Known to ngtcp2, by id.
    Queue<Ref<Stream>> waiting_[2];                     // Started above the peer's limit; [0] bidirectional, [1] one-way.
    std::int64_t next_id_[2];
    Chain<Stream, &Stream::next_touched> touched_;
    Chain<Stream, &Stream::next_queued> to_send_;
    // Streams with nothing but FIN to send, which takes no credit. They go first, because a stream that the connection's window blocks stays at the head of to_send_.
    Chain<Stream, &Stream::next_ending> to_end_;
    std::vector<StopSending> stops_;                                      // Seen in the packets just read.
    std::vector<std::int64_t> fins_;                                      // Likewise, of streams that we no longer read.
    std::unordered_map<std::int64_t, std::uint64_t> early_resets_;        // Likewise, of streams that ngtcp2 does not know yet.
    std::span<std::uint8_t> payload_;                                     // The packet being scanned.

    Queue<Unsent> unsent_;  // What the socket did not take.
    std::vector<std::uint8_t> close_packet_;
    unsigned stragglers_ = 0;
    bool close_repeated_ = false;

    // After the end: the closing packet is sent once more, because nobody acknowledges it, and then kept for datagrams still on their way; nanoseconds.
    static constexpr std::uint64_t repeat_close_after = 25'000'000;
    static constexpr std::uint64_t linger = 75'000'000;
};

}  // namespace kwik
