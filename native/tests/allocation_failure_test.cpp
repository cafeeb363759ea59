// The library while memory runs out: typed errors, or connections that end, but no crash, no wait without end, no callback after a close, and no descriptor left behind; and with memory
// it works again. A life has some thousand allocations, of which an ordinary run lets about a hundred fail, other ones each time; KWIK_OOM_STEP=1 takes all of them from KWIK_OOM_FIRST (1) on.
// KWIK_SEED chooses the random ones, KWIK_OOM_TRACE shows who asked for the memory that failed.
#include "failing_memory.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "abi.h"
#include "api.h"
#include "pki.h"

namespace kwik::test {
namespace {

using C = abi::ConnectionEvent;
using S = abi::StreamEvent;

// Beyond what the timeouts of the scenario allow, which end whatever is stuck for want of memory.
constexpr std::chrono::seconds patience{10};
constexpr std::uint64_t handshake_ms = 1'000, idle_ms = 1'000;
constexpr std::uint32_t content_length = 300'000;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* given = std::getenv(name);
    return given == nullptr ? otherwise : std::stoull(given);
}

std::size_t open_descriptors() {
    using Entries = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(std::distance(Entries("/proc/self/fd"), Entries()));
}

struct Monitor {
    std::mutex mutex;
    std::condition_variable changed;
};

// What the applications of both sides share: their memory never runs out, so it is made before.
struct World {
    World() : store(make_store(make_identity("memory"))), content(content_length, 'm') {}

    template <class Predicate>
    bool until(Predicate predicate) {
        std::unique_lock lock(monitor.mutex);
        return monitor.changed.wait_for(lock, patience, predicate);
    }

    Bytes store;
    std::string content;
    Monitor monitor;
    int violations = 0;  // Callbacks after a close.
};

World& world() {
    static World instance;
    return instance;
}

const abi::Table* table;

// One call into the library, in which memory may run out.
template <class Function, class... Arguments>
auto call(Function function, Arguments... arguments) {
    const LibraryCall inside;
    return function(arguments...);
}

struct StreamEnd {
    abi::HandlePointer handle = nullptr;
    bool ended = false, closed = false, echoes = false, peer_finished = false;
    std::uint64_t received = 0;

    static abi::Status on_event(void*, void* context, S* event) {
        const ApplicationCode outside;
        auto& self = *static_cast<StreamEnd*>(context);
        World& w = world();
        std::unique_lock lock(w.monitor.mutex);
        if (self.closed) ++w.violations;
        switch (event->type) {
        case S::receive: self.received += event->received.total_length; break;
        case S::peer_send_shutdown: self.peer_finished = true; break;
        case S::shutdown_complete: self.ended = true; break;
        default: break;
        }
        w.monitor.changed.notify_all();
        lock.unlock();
        if (self.echoes && event->type == S::peer_send_shutdown) self.send();
        if (self.echoes && event->type == S::peer_send_aborted) call(table->stream_shutdown, self.handle, std::uint32_t{abi::shutdown_abort_send}, std::uint64_t{1});
        return abi::success;
    }
    abi::Status send() {
        abi::Buffer buffer{content_length, reinterpret_cast<std::uint8_t*>(world().content.data())};
        const abi::Status status = call(table->stream_send, handle, static_cast<const abi::Buffer*>(&buffer), 1u, std::uint32_t{abi::send_fin}, static_cast<void*>(nullptr));
        if (abi::failed(status)) call(table->stream_shutdown, handle, std::uint32_t{abi::shutdown_abort_send | abi::shutdown_abort_receive}, std::uint64_t{2});
        return status;
    }
    void close() {
        if (handle != nullptr) call(table->stream_close, handle);
        std::lock_guard lock(world().monitor.mutex);
        closed = true;
        handle = nullptr;
    }
};

struct ConnectionEnd {
    abi::HandlePointer handle = nullptr;
    bool connected = false, ended = false, closed = false;
    StreamEnd stream;  // The first that the peer opens, or ours.

    static abi::Status on_event(void*, void* context, C* event) {
        const ApplicationCode outside;
        auto& self = *static_cast<ConnectionEnd*>(context);
        World& w = world();
        std::lock_guard lock(w.monitor.mutex);
        if (self.closed) ++w.violations;
        abi::Status status = abi::success;
        switch (event->type) {
        case C::connected: self.connected = true; break;
        case C::shutdown_complete: self.ended = true; break;
        case C::peer_stream_started:
            if (self.stream.handle != nullptr) {
                status = abi::connection_refused;
                break;
            }
            self.stream.echoes = true;
            self.stream.handle = event->started.stream;
            table->set_callback_handler(event->started.stream, reinterpret_cast<void*>(&StreamEnd::on_event), &self.stream);
            break;
        default: break;
        }
        w.monitor.changed.notify_all();
        return status;
    }
    void close() {
        if (handle != nullptr) call(table->connection_close, handle);
        std::lock_guard lock(world().monitor.mutex);
        closed = true;
        handle = nullptr;
    }
};

abi::HandlePointer open_configuration(abi::HandlePointer registration, bool server) {
    abi::Settings settings{};
    settings.is_set = 1u << abi::Settings::handshake_idle_timeout | 1u << abi::Settings::idle_timeout | 1u << abi::Settings::peer_bidi;
    settings.handshake_idle_timeout_ms = handshake_ms;
    settings.idle_timeout_ms = idle_ms;
    settings.peer_bidi_streams = 4;
    std::uint8_t name[] = {'m'};
    const abi::Buffer alpn{1, name};
    abi::HandlePointer configuration = nullptr;
    if (abi::failed(call(table->configuration_open, registration, &alpn, 1u, static_cast<const abi::Settings*>(&settings), std::uint32_t{sizeof settings}, static_cast<void*>(nullptr),
                         &configuration))) {
        return nullptr;
    }
    const Bytes& store = world().store;
    abi::CertificatePkcs12 pkcs12{store.data(), static_cast<std::uint32_t>(store.size()), nullptr};
    abi::CredentialConfig credential{};
    credential.type = server ? abi::credential_pkcs12 : abi::credential_none;
    credential.flags = server ? 0x4000u : 0x4015u;
    if (server) credential.pkcs12 = &pkcs12;
    if (!abi::failed(call(table->configuration_load_credential, configuration, static_cast<const abi::CredentialConfig*>(&credential)))) return configuration;
    call(table->configuration_close, configuration);
    return nullptr;
}

// A server that takes connections one after the other and echoes one stream of each.
struct Server {
    explicit Server(abi::HandlePointer registration) {
        configuration = open_configuration(registration, true);
        if (configuration == nullptr || abi::failed(call(table->listener_open, registration, &Server::on_event, static_cast<void*>(this), &listener))) return;
        std::uint8_t name[] = {'m'};
        const abi::Buffer alpn{1, name};
        sockaddr_in6 address{};
        reinterpret_cast<sockaddr_in&>(address).sin_family = AF_INET;
        reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (abi::failed(call(table->listener_start, listener, &alpn, 1u, static_cast<const void*>(&address)))) return;
        std::uint32_t length = abi::address_size;
        started = !abi::failed(table->get_param(listener, abi::param_listener_local_address, &length, &address));
        port = ntohs(address.sin6_port);
    }
    ~Server() {
        if (listener != nullptr) call(table->listener_close, listener);
        clear();
        if (configuration != nullptr) call(table->configuration_close, configuration);
    }
    // Closes all connections.
    void clear() {
        for (ConnectionEnd& connection : connections) {
            connection.stream.close();
            connection.close();
        }
    }
    static abi::Status on_event(void*, void* context, abi::ListenerEvent* event) {
        const ApplicationCode outside;
        auto& self = *static_cast<Server*>(context);
        if (event->type != abi::ListenerEvent::new_connection) return abi::success;
        ConnectionEnd* connection;
        {
            std::lock_guard lock(world().monitor.mutex);
            if (self.used == self.connections.size()) return abi::connection_refused;
            connection = &self.connections[self.used++];
            connection->handle = event->fresh.connection;
        }
        table->set_callback_handler(event->fresh.connection, reinterpret_cast<void*>(&ConnectionEnd::on_event), connection);
        if (!abi::failed(call(table->connection_set_configuration, event->fresh.connection, self.configuration))) return abi::success;
        std::lock_guard lock(world().monitor.mutex);
        connection->handle = nullptr;
        return abi::out_of_memory;
    }

    abi::HandlePointer configuration = nullptr, listener = nullptr;
    bool started = false;
    std::uint16_t port = 0;
    std::array<ConnectionEnd, 64> connections;  // An attempt that fails is repeated by its client.
    std::size_t used = 0;
};

// Connects, sends the content, reads the echo, closes. True if all of it worked; what did not must have said so.
bool exchange(abi::HandlePointer registration, std::uint16_t port) {
    World& w = world();
    abi::HandlePointer configuration = open_configuration(registration, false);
    if (configuration == nullptr) return false;
    ConnectionEnd client;
    bool started = !abi::failed(call(table->connection_open, registration, &ConnectionEnd::on_event, static_cast<void*>(&client), &client.handle));
    if (started) {
        sockaddr_in6 remote{};
        reinterpret_cast<sockaddr_in&>(remote).sin_family = AF_INET;
        reinterpret_cast<sockaddr_in&>(remote).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(table->set_param(client.handle, abi::param_conn_remote_address, abi::address_size, &remote), abi::success);
        started = !abi::failed(call(table->connection_start, client.handle, configuration, std::uint16_t{AF_INET}, "localhost", port));
    }
    bool echoed = false;
    if (started) {
        EXPECT_TRUE(w.until([&] { return client.connected || client.ended; })) << "a connection neither connects nor ends";
        if (client.connected && !abi::failed(call(table->stream_open, client.handle, 0u, &StreamEnd::on_event, static_cast<void*>(&client.stream), &client.stream.handle))) {
            if (!abi::failed(call(table->stream_start, client.stream.handle, std::uint32_t{abi::start_shutdown_on_fail})) && !abi::failed(client.stream.send())) {
                EXPECT_TRUE(w.until([&] { return client.stream.ended; })) << "a stream does not end";
                echoed = client.stream.received == content_length;
            }
            client.stream.close();
        }
        call(table->connection_shutdown, client.handle, 0u, std::uint64_t{3});
    }
    client.close();
    call(table->configuration_close, configuration);
    return echoed;
}

// The life of a process with the library, from MsQuicOpenVersion to MsQuicClose.
bool live_once() {
    const void* opened = nullptr;
    if (abi::failed(call(MsQuicOpenVersion, 2u, &opened))) return false;
    table = static_cast<const abi::Table*>(opened);
    abi::HandlePointer registration = nullptr;
    bool echoed = false;
    if (!abi::failed(call(table->registration_open, static_cast<const void*>(nullptr), &registration))) {
        {
            Server server(registration);
            if (server.started) echoed = exchange(registration, server.port);
        }
        call(table->registration_close, registration);
    }
    call(MsQuicClose, static_cast<const void*>(table));
    return echoed;
}

// For what must succeed: on a busy machine an attempt may be held up for longer than the scenario's timeouts. What no longer works fails each time.
template <class Attempt>
bool succeeds(const Attempt& attempt) {
    return attempt() || attempt() || attempt();
}

class AllocationFailure : public testing::Test {
protected:
    AllocationFailure() {
        FailingMemory::exempt = 1;
        world();
        // What is made once in a process is not what leaks.
        EXPECT_TRUE(succeeds(live_once));
        EXPECT_TRUE(succeeds(live_once));
    }
    ~AllocationFailure() override { EXPECT_EQ(world().violations, 0) << "callbacks after a close"; }
};

TEST_F(AllocationFailure, EachAllocationOfALife_Fails_EndsInAnErrorAndLeavesNothing) {
    std::int64_t usual = 0;
    ASSERT_TRUE(succeeds([&] {
        FailingMemory::fail_nth(INT64_MAX);
        const bool lived = live_once();
        usual = FailingMemory::stop();
        return lived;
    }));
    const std::size_t descriptors = open_descriptors();
    // Threads take turns differently each time, so the number of allocations differs a little too.
    const auto step = static_cast<std::int64_t>(from_environment("KWIK_OOM_STEP", static_cast<std::uint64_t>(usual) / 100 + 1));
    const auto first = static_cast<std::int64_t>(from_environment("KWIK_OOM_FIRST", 1 + std::random_device{}() % static_cast<std::uint64_t>(step)));
    ASSERT_GT(usual, 500) << "nobody counts";
    int unharmed = 0;
    std::int64_t failed = 0;
    for (std::int64_t n = first; n <= usual; n += step) {
        SCOPED_TRACE("allocation " + std::to_string(n));
        const auto begin = std::chrono::steady_clock::now();
        FailingMemory::fail_nth(n);
        unharmed += live_once();
        FailingMemory::stop();
        failed += FailingMemory::failed();
        ASSERT_EQ(open_descriptors(), descriptors);
        if (HasFailure()) return;
        // Far more than the timeouts of the scenario let it take, and less than the library's own, which hold for what lost its configuration.
        if (std::chrono::steady_clock::now() - begin > std::chrono::seconds{8}) ADD_FAILURE() << "waited for a timeout";
    }
    EXPECT_GT(failed, 0) << "none failed";
    RecordProperty("allocations", static_cast<int>(usual));
    RecordProperty("unharmed", unharmed);
    EXPECT_TRUE(succeeds(live_once));
}

TEST_F(AllocationFailure, AllocationsAtRandom_FailWhileAServerRuns_AndItServesAfterwards) {
    const void* opened = nullptr;
    ASSERT_EQ(MsQuicOpenVersion(2, &opened), abi::success);
    table = static_cast<const abi::Table*>(opened);
    abi::HandlePointer registration = nullptr;
    ASSERT_EQ(table->registration_open(nullptr, &registration), abi::success);
    const std::uint64_t seed = from_environment("KWIK_SEED", 1);
    std::int64_t failed = 0;
    for (const std::uint32_t millionths : {100u, 1'000u, 5'000u, 20'000u, 100'000u, 500'000u}) {
        for (std::uint64_t round = 0; round < 8; ++round) {
            SCOPED_TRACE("rate " + std::to_string(millionths) + " seed " + std::to_string(seed + round));
            Server server(registration);
            ASSERT_TRUE(server.started);
            FailingMemory::fail_at_random(millionths, seed + round);
            (void)exchange(registration, server.port);
            (void)exchange(registration, server.port);
            FailingMemory::stop();
            failed += FailingMemory::failed();
            ASSERT_TRUE(succeeds([&] { return exchange(registration, server.port); }));
        }
    }
    EXPECT_GT(failed, 0) << "none failed";
    table->registration_close(registration);
    MsQuicClose(table);
}

}  // namespace
}  // namespace kwik::test
