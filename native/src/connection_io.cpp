// Events out, packets out, time.
#include <algorithm>
#include <cerrno>
#include <new>

#include "connection.h"
#include "listener.h"
#include "ngtcp2_guard.h"

namespace kwik {

namespace {

constexpr int max_batches_per_flush = 4;  // Then other connections and the sockets have their turn.
constexpr int max_batches_per_turn = 4;
constexpr std::uint64_t min_send_budget = 256 * 1024;
constexpr std::uint64_t max_send_budget = 4 * 1024 * 1024;
// Below this round-trip time packets are not paced: batches and timers are coarser than such a path is long.
constexpr std::uint64_t paced_from_rtt = 2'000'000;
constexpr std::uint64_t retry_full_socket = 1'000'000;
// How long packets stay short after a black hole, at first and at most (RFC 8899, 5.1.1); nanoseconds.
constexpr std::uint64_t first_short_packets = 10'000'000'000, longest_short_packets = 600'000'000'000;

// Packets of one batch are written here first. One per worker thread.
alignas(64) thread_local std::uint8_t batch_memory[UdpSocket::max_batch_bytes + 2048];

}  // namespace

// ---------------------------------------------------------------------------------------------------- events

void Connection::run_deferred() noexcept {
    if (quic_ == nullptr) return;
    const auto keep = Ref<Connection>::share(this);
    if (is_out_of_memory()) {
        end(EndCause::library_error(NGTCP2_ERR_NOMEM));
        return;
    }
    deliver();
    if (quic_ != nullptr) flush();
    if (quic_ == nullptr) return;
    arm_timer();
    if (is_out_of_memory()) schedule();
}

void Connection::deliver() noexcept {
    if (server_ && !announced_ && !closed_.load()) deliver_hello();
    if (quic_ == nullptr) return;
    deliver_certificate();
    if (quic_ == nullptr) return;
    if (handshake_done_ && state_ == State::handshaking) deliver_connected();
    if (quic_ == nullptr) return;
    if (std::exchange(peer_moved_, false)) deliver_peer_address();
    if (quic_ == nullptr) return;
    if (streams_available_due_ && state_ == State::connected) {
        streams_available_due_ = false;
        open_waiting(0);
        open_waiting(1);
        deliver_streams_available();
    }
    // Callbacks may touch further streams.
    while (quic_ != nullptr && !touched_.empty()) {
        for (auto streams = std::exchange(touched_, {}); !streams.empty();) {
            const Ref<Stream> stream = streams.pop_front();
            stream->touched = false;
            if (quic_ != nullptr) stream->deliver();
        }
    }
}

void Connection::deliver_hello() noexcept {
    ClientHello hello;
    switch (read_client_hello(hello_, hello)) {
    case HelloStatus::need_more: return;
    case HelloStatus::malformed: {
        constexpr std::uint8_t decode_error = 50;
        end(EndCause::tls_alert(decode_error));
        return;
    }
    case HelloStatus::ok: break;
    }
    std::span<const std::uint8_t> alpn;
    const Ref<Listener> listener = binding_->begin_callback(hello.alpn_list, alpn);
    if (!listener) {
        end(EndCause::transport(abi::alpn_neg_failure, transport_no_application_protocol, false));
        return;
    }
    std::uint8_t local[abi::address_size], remote[abi::address_size];
    local_.to_abi(local);
    remote_.to_abi(remote);
    abi::NewConnectionInfo info{};
    info.version = ngtcp2_conn_get_client_chosen_version(quic_);
    info.local_address = local;
    info.remote_address = remote;
    info.crypto_length = static_cast<std::uint32_t>(hello_.size());
    info.crypto = hello_.data();
    info.alpn_list_length = static_cast<std::uint16_t>(hello.alpn_list.size());
    info.alpn_list = hello.alpn_list.data();
    info.negotiated_alpn_length = static_cast<std::uint8_t>(alpn.size());
    info.negotiated_alpn = alpn.data();
    info.server_name_length = static_cast<std::uint16_t>(hello.server_name.size());
    info.server_name = hello.server_name.empty() ? nullptr : hello.server_name.data();
    abi::ListenerEvent event{};
    event.type = abi::ListenerEvent::new_connection;
    event.fresh.info = &info;
    event.fresh.connection = static_cast<Handle*>(this);
    retain();  // The application's reference.
    announced_ = true;
    const abi::Status status = listener->indicate(event);
    listener->end_callback();
    if (!abi::failed(status)) return;
    announced_ = false;
    closed_.store(true);
    end(EndCause::transport(abi::connection_refused, transport_connection_refused, false));
    release();
}

void Connection::deliver_certificate() noexcept {
    if (!tls_ || !tls_->take_certificate_event()) return;
    const PeerCertificate& peer = tls_->peer_certificate();
    const auto buffer = [](const std::vector<std::uint8_t>& bytes) {
        return abi::Buffer{static_cast<std::uint32_t>(bytes.size()), const_cast<std::uint8_t*>(bytes.data())};
    };
    const abi::Buffer leaf = buffer(peer.leaf), chain = buffer(peer.chain);
    abi::ConnectionEvent event{};
    event.type = abi::ConnectionEvent::peer_certificate_received;
    if (!peer.leaf.empty()) {
        event.certificate.certificate = &leaf;
        event.certificate.chain = &chain;  // Of length 0 for a lone leaf: .NET reads it.
    }
    const abi::Status status = indicate(event);
    if (tls_) tls_->release_peer_certificate();
    if (!server_) deliver_streams_available();
    if (quic_ == nullptr) return;
    constexpr std::uint32_t bad_certificate = 42;
    if (status != abi::pending) finish_validation(!abi::failed(status), bad_certificate);
}

void Connection::deliver_streams_available() noexcept {
    if (quic_ == nullptr) return;
    std::uint64_t counts[2];
    if (state_ == State::connected) {
        counts[0] = ngtcp2_conn_get_streams_bidi_left(quic_);
        counts[1] = ngtcp2_conn_get_streams_uni_left(quic_);
    } else {
        const ngtcp2_transport_params* params = ngtcp2_conn_get_remote_transport_params(quic_);
        if (params == nullptr) return;
        counts[0] = params->initial_max_streams_bidi;
        counts[1] = params->initial_max_streams_uni;
    }
    abi::ConnectionEvent event{};
    event.type = abi::ConnectionEvent::streams_available;
    streams_reported_ = true;
    event.available.bidirectional = static_cast<std::uint16_t>(std::min<std::uint64_t>(counts[0], UINT16_MAX));
    event.available.unidirectional = static_cast<std::uint16_t>(std::min<std::uint64_t>(counts[1], UINT16_MAX));
    (void)indicate(event);
}

void Connection::deliver_connected() noexcept {
    handshake_deadline_ = TimerHeap::never;
    half_open_.end();
    ngtcp2_conn_set_keep_alive_timeout(quic_, configuration_->settings.keep_alive_interval);
    {
        std::lock_guard lock(shown_mutex_);
        handshake_info_known_ = tls_->handshake_info(handshake_info_);
    }
    if (!streams_reported_) deliver_streams_available();
    state_ = State::connected;
    streams_available_due_ = false;
    const std::span<const std::uint8_t> alpn = tls_->negotiated_alpn();
    abi::ConnectionEvent event{};
    event.type = abi::ConnectionEvent::connected;
    event.ready.alpn_length = static_cast<std::uint8_t>(alpn.size());
    event.ready.alpn = alpn.data();
    (void)indicate(event);
    open_waiting(0);
    open_waiting(1);
}

void Connection::deliver_peer_address() noexcept {
    std::uint8_t shown[abi::address_size];
    remote_.to_abi(shown);
    abi::ConnectionEvent event{};
    event.type = abi::ConnectionEvent::peer_address_changed;
    event.moved.address = shown;
    (void)indicate(event);
}

// ---------------------------------------------------------------------------------------------------- streams

void Connection::touch(Stream& stream) noexcept {
    if (!std::exchange(stream.touched, true)) touched_.push_back(stream);
    schedule();
}

void Connection::queue_to_send(Stream& stream) noexcept {
    // It may be in both: its last bytes may have left since it joined the one for bytes.
    if (stream.outgoing().only_fin_left()) {
        if (!std::exchange(stream.ending, true)) to_end_.push_back(stream);
    } else if (!std::exchange(stream.queued, true)) {
        to_send_.push_back(stream);
    }
    schedule();
}

std::uint64_t Connection::stream_window(const Stream& stream) const noexcept {
    const TransportSettings& settings = configuration_->settings;
    if (stream.is_unidirectional()) return settings.stream_window_unidi;
    return stream.is_local() ? settings.stream_window_bidi_local : settings.stream_window_bidi_remote;
}

void Connection::forget(Stream& stream) noexcept { streams_.erase(stream.id()); }

void Connection::start_stream(Stream& stream, std::uint32_t flags) noexcept {
    if (ended()) {
        stream.on_start_failed(open_status());
        return;
    }
    const int kind = stream.is_unidirectional() ? 1 : 0;
    auto& waiting = waiting_[kind];
    constexpr abi::Status stream_limit_reached = 86;
    if (!waiting.push_back(Ref<Stream>::share(&stream))) {
        stream.on_start_failed(abi::out_of_memory);
        return;
    }
    const std::int64_t id = next_id_[kind] + 4 * static_cast<std::int64_t>(waiting.size() - 1);
    if (state_ == State::connected && waiting.size() == 1) open_waiting(kind);
    const bool opened = stream.is_opened();
    if (!opened && (flags & abi::start_fail_blocked) != 0) {
        waiting.pop_back();
        stream.on_start_failed(stream_limit_reached);
        return;
    }
    stream.on_started(id, opened);
}

// Streams are opened in the order of their starts, so that the id predicted for a waiting one is the id it gets. One that was given up meanwhile still takes its turn.
void Connection::open_waiting(int kind) noexcept {
    auto& waiting = waiting_[kind];
    while (quic_ != nullptr && state_ == State::connected && !waiting.empty()) {
        const Ref<Stream> stream = waiting.front();
        Stream* user_data = stream->is_cancelled() ? nullptr : stream.get();
        std::int64_t id;
        const int rv = kind == 1 ? ngtcp2_conn_open_uni_stream(quic_, &id, user_data) : ngtcp2_conn_open_bidi_stream(quic_, &id, user_data);
        if (rv != 0) {
            check_memory(rv);  // The others wait for the peer: NGTCP2_ERR_STREAM_ID_BLOCKED.
            return;
        }
        waiting.pop_front();
        next_id_[kind] = id + 4;
        if (user_data == nullptr) {
            check_memory(ngtcp2_conn_shutdown_stream(quic_, 0, id, stream->cancel_error()));
            continue;
        }
        try {
            streams_.emplace(id, stream);
        } catch (const std::bad_alloc&) {
            end(EndCause::library_error(NGTCP2_ERR_NOMEM));
            stream->on_connection_ended(cause_);  // It is in none of the lists any more.
            return;
        }
        stream->on_opened(id);
    }
}

// ---------------------------------------------------------------------------------------------------- packets

void Connection::on_readable() noexcept {
    ReceivedBatch batch;
    for (int i = 0; i < max_batches_per_turn && socket_.fd() >= 0; ++i) {
        const int error = socket_.receive(batch);
        if (error == EAGAIN || error == ENOMEM) return;
        if (error != 0) {
            on_send_error(error);
            continue;
        }
        for (std::size_t at = 0; at < batch.length; at += batch.segment_size) {
            receive({batch.memory.get() + at, std::min(batch.segment_size, batch.length - at)}, local_, remote_);
        }
    }
}

// Before the peer was heard, an unreachable port or network ends the attempt; later it may pass, and the timers decide.
void Connection::on_send_error(int error) noexcept {
    if (server_ || state_ != State::handshaking) return;
    if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == ENETDOWN) {
        end(EndCause::transport(abi::unreachable, transport_internal_error, true));
    }
}

bool Connection::send_batch(std::span<const std::uint8_t> bytes, std::size_t segment, const ngtcp2_path& path) noexcept {
    Address local, remote;
    std::memcpy(static_cast<void*>(&local), path.local.addr, std::min<std::size_t>(path.local.addrlen, sizeof local));
    std::memcpy(static_cast<void*>(&remote), path.remote.addr, std::min<std::size_t>(path.remote.addrlen, sizeof remote));
    const int error = unsent_.empty() ? socket().send(bytes, segment, local, remote) : EAGAIN;
    if (error == EAGAIN) {
        try {
            (void)unsent_.push_back({{bytes.begin(), bytes.end()}, segment, local, remote});
        } catch (const std::bad_alloc&) {
            // Lost; ngtcp2 repairs it.
        }
        return false;
    }
    if (error != 0) on_send_error(error);
    return quic_ != nullptr;
}

bool Connection::send_unsent() noexcept {
    while (!unsent_.empty()) {
        const Unsent& batch = unsent_.front();
        const int error = socket().send(batch.bytes, batch.segment, batch.local, batch.remote);
        if (error == EAGAIN) return false;
        unsent_.pop_front();
        if (error != 0) on_send_error(error);
        if (quic_ == nullptr) return false;
    }
    return true;
}

ngtcp2_ssize Connection::write_packet(std::uint8_t* out, std::size_t size, ngtcp2_path_storage& path) noexcept {
    constexpr std::size_t max_pieces = 8;
    const auto write = [&](std::uint32_t flags, std::int64_t stream, const ngtcp2_vec* data, std::size_t count, ngtcp2_ssize* taken) {
        ngtcp2_pkt_info info;
        return Ngtcp2Guard::run(
            [&] { return ngtcp2_conn_writev_stream(quic_, &path.path, &info, out, size, taken, flags, stream, data, count, worker_.now()); }, ngtcp2_ssize{NGTCP2_ERR_INTERNAL});
    };
    for (;;) {
        const bool ending = !to_end_.empty();
        if (!ending && to_send_.empty()) return write(NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0, nullptr);
        Stream& stream = ending ? to_end_.front() : to_send_.front();
        const auto leave_queue = [&] {
            (ending ? stream.ending : stream.queued) = false;
            (void)(ending ? to_end_.pop_front() : to_send_.pop_front());
        };
        ngtcp2_vec pieces[max_pieces];
        const SendBuffer::Next next = stream.outgoing().peek(pieces, max_pieces);
        if (!next.anything) {
            leave_queue();
            continue;
        }
        std::uint64_t offered = 0;
        for (std::size_t i = 0; i < next.count; ++i) offered += pieces[i].len;
        ngtcp2_ssize taken = -1;
        const std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (next.fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
        const ngtcp2_ssize written = write(flags, stream.id(), pieces, next.count, &taken);
        if (taken >= 0) {
            const bool all = static_cast<std::uint64_t>(taken) == offered;
            stream.outgoing().sent(static_cast<std::uint64_t>(taken), next.fin && all);
        }
        switch (written) {
        case NGTCP2_ERR_WRITE_MORE:
            continue;  // Room for another stream in this packet; a stream with nothing left leaves above.
        case NGTCP2_ERR_STREAM_DATA_BLOCKED:  // Until on_unblocked.
        case NGTCP2_ERR_STREAM_SHUT_WR:
        case NGTCP2_ERR_STREAM_NOT_FOUND:
            leave_queue();
            continue;
        default:
            break;
        }
        // In turn, so that a bulk stream does not hold up the others.
        if (written > 0 && !ending) to_send_.rotate();
        return written;
    }
}

// Bytes. Black hole detection (RFC 8899, 4.3), which ngtcp2 lacks: when the route changes to one that drops in silence what is longer than its smaller MTU, ngtcp2 repeats the lost data in
// packets just as long until the idle timeout. When no stream data gets through for as long as three probe timeouts take, packets become as short as any path of QUIC must carry. An outage
// looks the same from here; the price is some more packets for a while, which is longer each time that the long ones fail again.
std::size_t Connection::longest_packet(const ngtcp2_conn_info& info) noexcept {
    const std::uint64_t now = worker_.now();
    const std::size_t found = ngtcp2_conn_get_max_tx_udp_payload_size(quic_);
    if (ngtcp2_conn_get_path_max_tx_udp_payload_size(quic_) <= NGTCP2_MAX_UDP_PAYLOAD_SIZE) {
        // Short as it is: nothing longer was found to pass yet, or the path is a new one.
        short_packets_until_ = 0;
        short_packets_for_ = first_short_packets;
        progress_at_ = now;
        return found;
    }
    const std::uint64_t probe_timeout = info.smoothed_rtt + 4 * info.rttvar + NGTCP2_DEFAULT_MAX_ACK_DELAY;
    if (info.bytes_in_flight == 0) {
        progress_at_ = now;
    } else if (now - progress_at_ >= (1 + 2 + 4) * probe_timeout && now >= short_packets_until_) {
        short_packets_until_ = now + short_packets_for_;
        short_packets_for_ = std::min(2 * short_packets_for_, longest_short_packets);
        progress_at_ = short_packets_until_;
    }
    return now < short_packets_until_ ? NGTCP2_MAX_UDP_PAYLOAD_SIZE : found;
}

void Connection::flush() noexcept {
    if (!send_unsent()) return;
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(quic_, &info);
    send_budget_.store(std::clamp(2 * info.cwnd, min_send_budget, max_send_budget), std::memory_order_relaxed);
    round_trip_ = info.smoothed_rtt;
    const bool paced = info.min_rtt != UINT64_MAX && info.min_rtt >= paced_from_rtt;
    const std::size_t smallest = ngtcp2_conn_get_path_max_tx_udp_payload_size(quic_);
    const std::size_t quantum = paced ? std::clamp(ngtcp2_conn_get_send_quantum(quic_), smallest, UdpSocket::max_batch_bytes) : UdpSocket::max_batch_bytes;
    const std::size_t packet = longest_packet(info);

    ngtcp2_path_storage path, next_path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_path_storage_zero(&next_path);
    std::size_t carried = 0;  // A packet that did not fit the batch before it, at the start of the memory.
    bool more = true;
    for (int batch = 0; more && batch < max_batches_per_flush; ++batch) {
        std::size_t length = carried, segment = carried, count = carried > 0 ? 1 : 0;
        carried = 0;
        std::size_t overflow = 0;
        while (length + packet <= UdpSocket::max_batch_bytes && (length < quantum || count == 0) && count < UdpSocket::max_batch_segments) {
            const ngtcp2_ssize written = write_packet(batch_memory + length, packet, next_path);
            if (written < 0) {
                end(EndCause::library_error(static_cast<int>(written)));
                return;
            }
            if (written == 0) {
                more = false;
                break;
            }
            const auto size = static_cast<std::size_t>(written);
            const bool same_path = count == 0 || ngtcp2_path_eq(&path.path, &next_path.path) != 0;
            if (count > 0 && (size > segment || !same_path)) {
                overflow = size;
                break;
            }
            if (count == 0) {
                segment = size;
                ngtcp2_path_copy(&path.path, &next_path.path);
            }
            length += size;
            ++count;
            if (size < segment) break;  // Only the last segment of a batch may be shorter.
        }
        const bool sent = length == 0 || send_batch({batch_memory, length}, segment, path.path);
        if (quic_ == nullptr) return;
        if (!sent) {
            if (overflow > 0) (void)send_batch({batch_memory + length, overflow}, overflow, next_path.path);
            return;
        }
        if (overflow > 0) {
            std::memmove(batch_memory, batch_memory + length, overflow);
            ngtcp2_path_copy(&path.path, &next_path.path);
            carried = overflow;
            more = true;
        }
        if (paced) {
            ngtcp2_conn_update_pkt_tx_time(quic_, worker_.now());
            break;
        }
    }
    if (carried > 0 && !send_batch({batch_memory, carried}, carried, path.path)) return;
    if (paced) return;
    // Not paced: see unpaced_tx_time. The pacing timer, then past, is cleared by handle_expiry, which may find another timer due and want to write again.
    const bool due = ngtcp2_conn_get_expiry(quic_) <= worker_.now();
    ngtcp2_conn_update_pkt_tx_time(quic_, unpaced_tx_time(worker_.now()));
    if (const int rv = handle_expiry(worker_.now())) {
        end(EndCause::library_error(rv));
        return;
    }
    if (more || due) schedule();
}

void Connection::write_close(bool application, std::uint64_t code) noexcept {
    ngtcp2_ccerr error;
    ngtcp2_ccerr_default(&error);
    if (application) ngtcp2_ccerr_set_application_error(&error, code, nullptr, 0);
    else ngtcp2_ccerr_set_transport_error(&error, code, nullptr, 0);
    ngtcp2_path_storage path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_pkt_info info;
    const auto write = [&] {
        return ngtcp2_conn_write_connection_close(quic_, &path.path, &info, batch_memory, ngtcp2_conn_get_max_tx_udp_payload_size(quic_), &error, worker_.refresh_clock());
    };
    const ngtcp2_ssize written = Ngtcp2Guard::run(write, ngtcp2_ssize{NGTCP2_ERR_INTERNAL});
    if (written <= 0) return;  // Nothing was sent before, or the peer closed first: there is nobody to tell.
    try {
        close_packet_.assign(batch_memory, batch_memory + written);
    } catch (const std::bad_alloc&) {
        return;  // The peer learns of the end by its idle timeout.
    }
    send_close_packet(local_, remote_);
}

void Connection::send_close_packet(const Address& local, const Address& remote) noexcept {
    // A datagram that is not sent is like one that is lost, and there is nobody left to report to.
    if (!close_packet_.empty()) (void)socket().send(close_packet_, close_packet_.size(), local, remote);
}

void Connection::answer_straggler(const Address& local, const Address& remote) noexcept {
    // The 1st, 2nd, 4th, 8th ... one, so that two closed ends do not answer each other for ever.
    ++stragglers_;
    if ((stragglers_ & (stragglers_ - 1)) == 0) send_close_packet(local, remote);
}

// ---------------------------------------------------------------------------------------------------- time

int Connection::handle_expiry(std::uint64_t now) noexcept {
    return Ngtcp2Guard::run([this, now] { return ngtcp2_conn_handle_expiry(quic_, now); }, NGTCP2_ERR_INTERNAL);
}

void Connection::arm_timer() noexcept {
    std::uint64_t deadline = std::min(ngtcp2_conn_get_expiry(quic_), handshake_deadline_);
    if (!unsent_.empty()) deadline = std::min(deadline, worker_.now() + retry_full_socket);
    (void)worker_.set_timer(*this, deadline);  // It has its room.
}

void Connection::on_timer(std::uint64_t now) noexcept {
    if (state_ == State::ended) {
        if (!close_repeated_) {
            close_repeated_ = true;
            send_close_packet(local_, remote_);
            if (worker_.set_timer(*this, now + linger)) return;
        }
        leave();
        return;
    }
    if (quic_ == nullptr) return;
    const auto keep = Ref<Connection>::share(this);
    if (now >= handshake_deadline_) {
        end(EndCause::library_error(NGTCP2_ERR_HANDSHAKE_TIMEOUT));
        return;
    }
    if (const int rv = handle_expiry(now)) {
        end(EndCause::library_error(rv));
        return;
    }
    schedule();
}

}  // namespace kwik
