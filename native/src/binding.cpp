#include "binding.h"


#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <utility>

#include "connection.h"
#include "half_open.h"
#include "listener.h"
#include "quic_api.h"
#include "random.h"
#include "tokens.h"
#include "wire.h"

namespace kwik {

struct Binding::Parcel final : Object {
    explicit Parcel(ReceivedBatch&& b) noexcept : batch(std::move(b)) {}
    ReceivedBatch batch;
};

namespace {

// Batches read before the worker writes: enough to answer a burst with few acknowledgements, few enough that the answer is not late.
constexpr int max_batches_per_turn = 4;

abi::Status status_of_bind_error(int error) noexcept {
    switch (error) {
    case EADDRINUSE: return abi::address_in_use;
    case EADDRNOTAVAIL: return abi::invalid_address;
    case EAFNOSUPPORT: return abi::address_not_available;
    case ENOMEM: case ENOBUFS: return abi::out_of_memory;
    default: return abi::internal_error;
    }
}

// Address of the binding that `local` asks for; family 0 is the IPv6 wildcard.
Address normalized(Address local) noexcept {
    if (local.family() == AF_UNSPEC) local.base.sa_family = AF_INET6;
    return local;
}

}  // namespace

abi::Status Binding::acquire(Library& library, const Address& local, Ref<Binding>& out) noexcept {
    std::lock_guard lock(library.bindings_mutex);
    const Address wanted = normalized(local);
    if (wanted.port() != 0) {
        for (Binding* binding : library.bindings) {
            if (binding->local() == wanted) {
                ++binding->users_;
                out = Ref<Binding>::share(binding);
                return abi::success;
            }
        }
    }
    auto binding = Ref<Binding>::adopt(new (std::nothrow) Binding(library, library.next_worker()));
    if (!binding) return abi::out_of_memory;
    if (const int error = binding->socket_.bind(local)) return status_of_bind_error(error);
    try {
        library.bindings.push_back(binding.get());
    } catch (const std::bad_alloc&) {
        return abi::out_of_memory;
    }
    if (!binding->reader_.post(Ref<Actor>::share(binding.get()), {.op = op_watch})) {
        library.bindings.pop_back();
        return abi::out_of_memory;
    }
    binding->users_ = 1;
    out = std::move(binding);
    return abi::success;
}

void Binding::add_user() noexcept {
    std::lock_guard lock(library_.bindings_mutex);
    ++users_;
}

void Binding::drop_user() noexcept {
    {
        std::lock_guard lock(library_.bindings_mutex);
        if (--users_ > 0) return;
        if (!reader_.is_current() && std::exchange(close_posted_, true)) return;
    }
    if (reader_.is_current()) close_if_unused();
    else reader_.post(close_place_, Ref<Actor>::share(this), {.op = op_close_if_unused});
}

void Binding::close_if_unused() noexcept {
    std::lock_guard lock(library_.bindings_mutex);
    const auto it = std::find(library_.bindings.begin(), library_.bindings.end(), this);
    if (users_ > 0 || it == library_.bindings.end()) return;
    library_.bindings.erase(it);
    reader_.unwatch(socket_.fd());
    socket_.close();
    reader_.retire(Ref<Object>::share(this));
}

abi::Status Binding::add_listener(Listener& listener) noexcept {
    std::lock_guard lock(listeners_mutex_);
    for (Listener* other : listeners_) {
        if (!select_alpn(other->alpn_list(), listener.alpn_list()).empty()) return abi::alpn_in_use;
    }
    try {
        listeners_.push_back(&listener);
    } catch (const std::bad_alloc&) {
        return abi::out_of_memory;
    }
    return abi::success;
}

void Binding::remove_listener(Listener& listener) noexcept {
    std::lock_guard lock(listeners_mutex_);
    std::erase(listeners_, &listener);
}

Ref<Listener> Binding::begin_callback(std::span<const std::uint8_t> offered, std::span<const std::uint8_t>& alpn) noexcept {
    Ref<Listener> chosen;
    {
        std::lock_guard lock(listeners_mutex_);
        for (Listener* listener : listeners_) {
            alpn = select_alpn(listener->alpn_list(), offered);
            if (!alpn.empty()) {
                chosen = Ref<Listener>::share(listener);
                break;
            }
        }
    }
    // Outside of the lock, because a listener takes both locks in the other order.
    return chosen && chosen->begin_callback() ? chosen : Ref<Listener>();
}

void Binding::execute(Command& command) noexcept {
    switch (command.op) {
    case op_watch:
        if (socket_.fd() >= 0) (void)reader_.watch(socket_.fd(), *this);
        break;
    case op_datagrams: {
        ReceivedBatch& batch = static_cast<Parcel*>(command.subject.get())->batch;
        Worker& worker = library_.worker(command.flags);
        deliver(worker, batch);
        worker.undelivered.fetch_sub(weight_of(batch), std::memory_order_relaxed);
        break;
    }
    case op_close_if_unused:
        {
            std::lock_guard lock(library_.bindings_mutex);
            close_posted_ = false;
        }
        close_if_unused();
        break;
    }
}

void Binding::on_readable() noexcept {
    for (int i = 0; i < max_batches_per_turn; ++i) {
        // An unconnected socket reports no ICMP errors; what is left (ENOMEM, EAGAIN) is tried again when epoll says so.
        if (socket_.fd() < 0 || socket_.receive(batch_) != 0) return;
        route(batch_);
    }
}

void Binding::route(ReceivedBatch& batch) noexcept {
    const auto owner = [this](std::span<const std::uint8_t> datagram) -> int {
        ngtcp2_version_cid header;
        const int rv = ngtcp2_pkt_decode_version_cid(&header, datagram.data(), datagram.size(), cid_length);
        if (rv != 0 && rv != NGTCP2_ERR_VERSION_NEGOTIATION) return -1;
        return static_cast<int>(CidTable::worker_of({header.dcid, header.dcidlen}, library_.worker_count()));
    };
    const auto segment = [&batch](std::size_t at) { return std::span(batch.memory.get() + at, std::min(batch.segment_size, batch.length - at)); };
    // Runs of datagrams of the same worker; nearly always one run, which is then moved whole.
    for (std::size_t begin = 0, end; begin < batch.length; begin = end) {
        const int worker = owner(segment(begin));
        end = begin + segment(begin).size();
        while (end < batch.length && owner(segment(end)) == worker) end += segment(end).size();
        if (worker < 0) continue;
        if (static_cast<unsigned>(worker) == reader_.index() && begin == 0 && end == batch.length) {
            deliver(reader_, batch);
            return;
        }
        ReceivedBatch part;
        part.segment_size = batch.segment_size;
        part.length = end - begin;
        part.local = batch.local;
        part.remote = batch.remote;
        // A few bytes are copied, so that they do not keep a whole chunk.
        if (begin == 0 && end == batch.length && part.length > BufferPool::chunk_size / 2) {
            part.memory = std::move(batch.memory);
        } else {
            part.memory = BufferPool::take(part.length);
            if (!part.memory) return;  // Lost datagrams are repaired by their senders.
            std::memcpy(part.memory.get(), batch.memory.get() + begin, part.length);
        }
        hand_over(library_.worker(static_cast<unsigned>(worker)), std::move(part));
    }
}

void Binding::hand_over(Worker& worker, ReceivedBatch&& batch) noexcept {
    if (worker.is_current()) {
        deliver(worker, batch);
        return;
    }
    // What there is no memory or no room for is lost; datagrams that matter are repaired by their senders.
    const std::size_t weight = weight_of(batch);
    if (worker.undelivered.fetch_add(weight, std::memory_order_relaxed) + weight <= max_undelivered) {
        auto parcel = Ref<Parcel>::adopt(new (std::nothrow) Parcel(std::move(batch)));
        if (parcel && worker.post(Ref<Actor>::share(this), {.op = op_datagrams, .flags = worker.index(), .subject = std::move(parcel)})) return;
    }
    worker.undelivered.fetch_sub(weight, std::memory_order_relaxed);
}

std::size_t Binding::weight_of(const ReceivedBatch& batch) noexcept { return sizeof(Parcel) + batch.length; }

void Binding::deliver(Worker& worker, const ReceivedBatch& batch) noexcept {
    for (std::size_t at = 0; at < batch.length; at += batch.segment_size) {
        const std::span<const std::uint8_t> datagram(batch.memory.get() + at, std::min(batch.segment_size, batch.length - at));
        ngtcp2_version_cid header;
        const int rv = ngtcp2_pkt_decode_version_cid(&header, datagram.data(), datagram.size(), cid_length);
        const bool long_header = (datagram[0] & 0x80) != 0;
        if (long_header && (rv == NGTCP2_ERR_VERSION_NEGOTIATION || (rv == 0 && header.version != NGTCP2_PROTO_VER_V1 && header.version != 0))) {
            negotiate_version(header, datagram.size(), batch.local, batch.remote);
            continue;
        }
        if (rv != 0) continue;
        if (Connection* connection = worker.connections().find({header.dcid, header.dcidlen})) connection->receive(datagram, batch.local, batch.remote);
        else if (long_header) accept(worker, datagram, batch.local, batch.remote);
        else reset(header, datagram.size(), batch.local, batch.remote);
    }
}

void Binding::negotiate_version(const ngtcp2_version_cid& header, std::size_t length, const Address& local, const Address& remote) noexcept {
    // Only packets of a client's size are answered, so that the answer is never the longer one (RFC 9000, 6.1).
    if (length < NGTCP2_MAX_UDP_PAYLOAD_SIZE) return;
    // The reserved version keeps clients from relying on a list of one (RFC 9000, 6.3).
    static constexpr std::uint32_t versions[] = {0x1a2a3a4a, NGTCP2_PROTO_VER_V1};
    std::uint8_t unpredictable;
    fill_random(&unpredictable, sizeof unpredictable);
    std::uint8_t packet[512];
    const ngtcp2_ssize written = ngtcp2_pkt_write_version_negotiation(packet, sizeof packet, unpredictable, header.scid, header.scidlen, header.dcid, header.dcidlen, versions,
                                                                      std::size(versions));
    if (written > 0) this->answer({packet, static_cast<std::size_t>(written)}, local, remote);
}

void Binding::reset(const ngtcp2_version_cid& header, std::size_t length, const Address& local, const Address& remote) noexcept {
    // Looks like an ordinary short packet, and is shorter than what it answers, so that two ends that know nothing of each other fall silent (RFC 9000, 10.3.3).
    constexpr std::size_t smallest = NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN, ordinary = 42;
    if (length <= smallest) return;
    const std::size_t size = std::min(ordinary, length - 1);
    ngtcp2_cid id;
    ngtcp2_cid_init(&id, header.dcid, header.dcidlen);
    std::uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], unpredictable[ordinary], packet[ordinary];
    if (!Tokens::make_reset_token(id, token)) return;
    fill_random(unpredictable, sizeof unpredictable);
    const ngtcp2_ssize written = ngtcp2_pkt_write_stateless_reset(packet, sizeof packet, token, unpredictable, size - sizeof token);
    if (written > 0) answer({packet, static_cast<std::size_t>(written)}, local, remote);
}

void Binding::retry(Worker& worker, const ngtcp2_pkt_hd& header, const Address& local, const Address& remote) noexcept {
    std::uint8_t memory[512];
    if (const auto packet = Tokens::write_retry(memory, header, remote, worker.now()); !packet.empty()) answer(packet, local, remote);
}

void Binding::refuse_token(const ngtcp2_pkt_hd& header, const Address& local, const Address& remote) noexcept {
    std::uint8_t packet[256];
    const ngtcp2_ssize written = ngtcp2_crypto_write_connection_close(packet, sizeof packet, header.version, &header.scid, &header.dcid, transport_invalid_token, nullptr, 0);
    if (written > 0) answer({packet, static_cast<std::size_t>(written)}, local, remote);
}

void Binding::answer(std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept {
    // Like any datagram it may be lost; who asked asks again.
    (void)socket_.send(datagram, datagram.size(), local, remote);
}

void Binding::accept(Worker& worker, std::span<const std::uint8_t> datagram, const Address& local, const Address& remote) noexcept {
    ngtcp2_pkt_hd header;
    // Only a client's first Initial makes a connection. 0-RTT that came before it is dropped; we never offer any.
    if (ngtcp2_accept(&header, datagram.data(), datagram.size()) != 0) return;
    {
        std::lock_guard lock(listeners_mutex_);
        if (listeners_.empty()) return;
    }
    ngtcp2_cid original;
    const bool validated = Tokens::is_retry(header);
    if (validated && !Tokens::validate_retry(header, remote, worker.now(), original)) {
        refuse_token(header, local, remote);
        return;
    }
    if (!validated && HalfOpen::are_many()) {
        retry(worker, header, local, remote);
        return;
    }
    Connection::accept(library_, worker, Ref<Binding>::share(this), header, validated ? &original : nullptr, datagram, local, remote);
}

}  // namespace kwik
