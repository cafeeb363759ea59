// The library as an application sees it: a server and a client in one process, over the loopback interface, through the public ABI only.
#include "loopback.h"

#include <cstring>
#include <future>
#include <thread>

namespace kwik::test {
namespace {

using C = abi::ConnectionEvent;
using S = abi::StreamEvent;

std::string pattern(std::size_t length, unsigned seed = 1) {
    std::string text(length, '\0');
    for (char& c : text) {
        seed = seed * 1664525u + 1013904223u;
        c = static_cast<char>(seed >> 24);
    }
    return text;
}

struct Loopback : testing::Test {
    Api api;
};

TEST_F(Loopback, Connect_BothSides_ReportProtocolNameAndFinalAddresses) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    ASSERT_TRUE(accepted.wait(C::connected));
    EXPECT_EQ(client.alpn, "kwik");
    EXPECT_EQ(accepted.alpn, "kwik");
    EXPECT_EQ(server.server_name, "localhost");
    EXPECT_GT(client.certificate_length, 100u);
    EXPECT_EQ(client.available.bidirectional, 10);
    EXPECT_EQ(accepted.available.bidirectional, 10);
    sockaddr_in6 near{}, far{};
    std::uint32_t length = abi::address_size;
    ASSERT_EQ(api->get_param(client.handle, abi::param_conn_local_address, &length, &near), abi::success);
    ASSERT_EQ(api->get_param(accepted.handle, abi::param_conn_remote_address, &length, &far), abi::success);
    EXPECT_EQ(std::memcmp(&near, &far, sizeof(sockaddr_in)), 0);
    std::uint32_t info[8];
    length = sizeof info;
    ASSERT_EQ(api->get_param(client.handle, abi::param_tls_handshake_info, &length, info), abi::success);
    EXPECT_EQ(info[0], 0x3000u);
}

TEST_F(Loopback, Connect_WildcardListener_TakesBothFamiliesAndAnswersFromTheAskedAddress) {
    Server server(api, "kwik", {}, sockaddr_in6{});
    for (const bool v6 : {false, true}) {
        Client client(api);
        client.connect(server.port, v6);
        ConnectionRecord& accepted = *server.accept();
        ASSERT_TRUE(accepted.wait(C::connected));
        sockaddr_in6 local{};
        std::uint32_t length = abi::address_size;
        ASSERT_EQ(api->get_param(accepted.handle, abi::param_conn_local_address, &length, &local), abi::success);
        const sockaddr_in6 expected = loopback_address(server.port, v6);
        EXPECT_EQ(local.sin6_family, expected.sin6_family);
        EXPECT_EQ(std::memcmp(&local, &expected, v6 ? 24 : 8), 0);
    }
}

TEST_F(Loopback, Streams_EchoedBytes_ComeBackAndBothSidesEnd) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    StreamRecord stream(api);
    stream.open(client.handle, false);
    ASSERT_EQ(stream.start(), abi::pending);
    std::string hello = "hello";
    ASSERT_EQ(stream.send(hello, true), abi::pending);
    StreamRecord& peer = *server.accept()->accept();
    ASSERT_TRUE(peer.wait(S::peer_send_shutdown));
    EXPECT_EQ(peer.received, "hello");
    ASSERT_EQ(peer.send(peer.received, true), abi::pending);
    ASSERT_TRUE(stream.wait(S::shutdown_complete));
    ASSERT_TRUE(peer.wait(S::shutdown_complete));
    EXPECT_EQ(stream.received, "hello");
    EXPECT_EQ(stream.graceful, 1);
    EXPECT_EQ(stream.started.id, 0u);
    EXPECT_EQ(stream.started.peer_accepted, 1);
    EXPECT_EQ(stream.ended.connection_shutdown, 0);
}

TEST_F(Loopback, LargeSend_SlowReader_ArrivesWholeHoweverTheReaderTakesIt) {
    struct Case { std::uint64_t limit; abi::Status answer; bool enable; };
    for (const Case& c : {Case{UINT64_MAX, abi::success, false}, Case{40'000, abi::keep_going, false}, Case{70'001, abi::success, true}}) {
        Server server(api);
        server.prepare = [&](StreamRecord& s) { s.limit = c.limit; s.when_partial = c.answer; };
        Client client(api);
        client.connect(server.port);
        StreamRecord stream(api);
        stream.open(client.handle, true);
        ASSERT_EQ(stream.start(), abi::pending);
        std::string bytes = pattern(5'000'000);
        ASSERT_EQ(stream.send(bytes, true), abi::pending);
        StreamRecord& peer = *server.accept()->accept();
        for (int receives = 0, over = 0; c.enable && over == 0;) {
            ASSERT_TRUE(peer.until([&] { return (over = peer.seen(S::peer_send_shutdown)) != 0 || peer.receives > receives; }));
            ++receives;
            ASSERT_EQ(api->stream_receive_set_enabled(peer.handle, 1), abi::success);
        }
        ASSERT_TRUE(peer.wait(S::peer_send_shutdown));
        EXPECT_TRUE(peer.received == bytes) << peer.received.size();
        ASSERT_TRUE(stream.wait(S::shutdown_complete));
        EXPECT_EQ(stream.completed_sends, 1);
    }
}

TEST_F(Loopback, ShortOneWayStreams_Thousands_AllArriveInOrder) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    for (int i = 0; i < 3000; ++i) {
        StreamRecord stream(api);
        stream.open(client.handle, true);
        ASSERT_EQ(stream.start(), abi::pending);
        std::string text = std::to_string(i);
        ASSERT_EQ(stream.send(text, true), abi::pending);
        StreamRecord& peer = *accepted.accept();
        ASSERT_TRUE(peer.wait(S::shutdown_complete));
        ASSERT_EQ(peer.received, text);
        peer.close();
        ASSERT_TRUE(stream.wait(S::shutdown_complete));
        ASSERT_EQ(stream.started.id, 4u * static_cast<unsigned>(i) + 2);
    }
}

TEST_F(Loopback, Start_AboveTheLimit_WaitsWithItsFinalIdAndACancelledOneKeepsItsPlace) {
    Server server(api, "kwik", {.bidi = 1});
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    std::vector<std::unique_ptr<StreamRecord>> streams;
    for (int i = 0; i < 3; ++i) {
        streams.push_back(std::make_unique<StreamRecord>(api));
        streams[i]->open(client.handle, false);
        ASSERT_EQ(streams[i]->start(), abi::pending);
        ASSERT_TRUE(streams[i]->wait(S::start_complete));
        EXPECT_EQ(streams[i]->started.id, 4u * i);
        EXPECT_EQ(streams[i]->started.peer_accepted, i == 0);
    }
    ASSERT_EQ(api->stream_shutdown(streams[1]->handle, 14, 9), abi::pending);
    ASSERT_TRUE(streams[1]->wait(S::shutdown_complete));
    std::string text = "first", last = "last";
    ASSERT_EQ(streams[0]->send(text, true), abi::pending);
    ASSERT_EQ(streams[2]->send(last, true), abi::pending);
    const auto finish = [&] {
        StreamRecord& peer = *accepted.accept();
        EXPECT_EQ(api->stream_shutdown(peer.handle, abi::shutdown_graceful, 0), abi::pending);
        EXPECT_TRUE(peer.wait(S::shutdown_complete));
        const std::string got = peer.received;
        peer.close();
        return got;
    };
    EXPECT_EQ(finish(), "first");
    StreamRecord& cancelled = *accepted.accept();
    ASSERT_TRUE(cancelled.wait(S::peer_send_aborted));
    EXPECT_EQ(cancelled.send_error, 9u);
    cancelled.close();
    ASSERT_TRUE(streams[2]->wait(S::peer_accepted));
    EXPECT_EQ(finish(), "last");
}

TEST_F(Loopback, Abort_OfEachDirection_ReachesThePeerWithItsCode) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    StreamRecord stream(api);
    stream.open(client.handle, false);
    ASSERT_EQ(stream.start(), abi::pending);
    std::string text = "x";
    ASSERT_EQ(stream.send(text, false), abi::pending);
    StreamRecord& peer = *accepted.accept();
    ASSERT_EQ(api->stream_shutdown(stream.handle, abi::shutdown_abort_send, 0x123456789), abi::pending);
    ASSERT_TRUE(peer.wait(S::peer_send_aborted));
    EXPECT_EQ(peer.send_error, 0x123456789u);
    ASSERT_EQ(api->stream_shutdown(stream.handle, abi::shutdown_abort_receive, 77), abi::pending);
    ASSERT_TRUE(peer.wait(S::peer_receive_aborted));
    EXPECT_EQ(peer.receive_error, 77u);
    ASSERT_TRUE(peer.wait(S::shutdown_complete));
    ASSERT_TRUE(stream.wait(S::shutdown_complete));
    EXPECT_EQ(stream.graceful, 0);
}

TEST_F(Loopback, Abort_OfAnOutstandingSend_ReportsItBeforeItReturns) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    StreamRecord stream(api);
    stream.open(client.handle, true);
    ASSERT_EQ(stream.start(), abi::pending);
    server.prepare = [](StreamRecord& peer) { peer.limit = 0; };
    // More than is copied and more than the reader's window: it stays outstanding.
    std::string bytes(64 * 1024 * 1024, 'x');
    ASSERT_EQ(stream.send(bytes, false), abi::pending);
    ASSERT_EQ(api->stream_shutdown(stream.handle, abi::shutdown_abort_send, 7), abi::pending);
    {
        std::lock_guard lock(stream.mutex);
        EXPECT_EQ(stream.canceled_sends, 1);
        EXPECT_EQ(stream.completed_sends, 0);
    }
    ASSERT_TRUE(stream.wait(S::send_shutdown_complete));
    std::lock_guard lock(stream.mutex);
    EXPECT_EQ(stream.canceled_sends, 1);
}

TEST_F(Loopback, Abort_BeforeAnyByte_StillShowsThePeerAStream) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    for (const bool unidirectional : {false, true}) {
        StreamRecord stream(api);
        stream.open(client.handle, unidirectional);
        ASSERT_EQ(stream.start(), abi::pending);
        ASSERT_TRUE(stream.wait(S::start_complete));
        ASSERT_EQ(api->stream_shutdown(stream.handle, unidirectional ? 2u : 6u, 5), abi::pending);
        StreamRecord& peer = *(unidirectional ? server.connections[0].get() : server.accept())->accept();
        ASSERT_TRUE(peer.wait(S::peer_send_aborted));
        EXPECT_EQ(peer.send_error, 5u);
        ASSERT_TRUE(peer.wait(S::shutdown_complete));
        ASSERT_TRUE(stream.wait(S::shutdown_complete));
    }
}

TEST_F(Loopback, Shutdown_WithACode_EndsEveryStreamOfBothSides) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    StreamRecord stream(api);
    stream.open(client.handle, false);
    ASSERT_EQ(stream.start(), abi::pending);
    std::string text = "x";
    ASSERT_EQ(stream.send(text, false), abi::pending);
    ConnectionRecord& accepted = *server.accept();
    StreamRecord& peer = *accepted.accept();
    api->connection_shutdown(client.handle, 0, 4242);
    ASSERT_TRUE(client.wait(C::shutdown_complete));
    ASSERT_TRUE(accepted.wait(C::shutdown_complete));
    EXPECT_EQ(accepted.peer_error, 4242u);
    EXPECT_FALSE(client.seen(C::shutdown_by_transport) || client.seen(C::shutdown_by_peer));
    ASSERT_TRUE(peer.wait(S::shutdown_complete));
    EXPECT_EQ(peer.ended.connection_shutdown, 1);
    EXPECT_EQ(peer.ended.bits, S::by_app | S::closed_remotely);
    EXPECT_EQ(peer.ended.error, 4242u);
    ASSERT_TRUE(stream.wait(S::shutdown_complete));
    EXPECT_EQ(stream.ended.bits, S::by_app);
    StreamRecord late(api);
    EXPECT_EQ(api->stream_open(client.handle, 0, StreamRecord::callback, &late, &late.handle), abi::invalid_state);
    EXPECT_EQ(api->stream_open(accepted.handle, 0, StreamRecord::callback, &late, &late.handle), abi::aborted);
}

TEST_F(Loopback, Connect_OtherProtocol_FailsWithTheAlert) {
    Server server(api);
    Client client(api, "other");
    client.start(server.port);
    ASSERT_TRUE(client.wait(C::shutdown_complete));
    EXPECT_EQ(client.transport.status, abi::alpn_neg_failure);
    EXPECT_EQ(client.transport.error, 0x178u);
}

TEST_F(Loopback, Connect_ListenerRefuses_IsRefused) {
    Server server(api);
    server.refuse = true;
    Client client(api);
    client.start(server.port);
    ASSERT_TRUE(client.wait(C::shutdown_complete));
    EXPECT_EQ(client.transport.status, abi::connection_refused);
}

TEST_F(Loopback, Connect_NobodyListens_IsUnreachable) {
    std::uint16_t port;
    {
        Server server(api);
        port = server.port;
        api->listener_stop(server.handle);
        ASSERT_TRUE(server.until([&] { return server.stopped; }));
    }
    Client client(api);
    client.start(port);
    ASSERT_TRUE(client.wait(C::shutdown_complete));
    EXPECT_EQ(client.transport.status, abi::unreachable);
    EXPECT_EQ(client.transport.error, 1u);
}

TEST_F(Loopback, Certificate_Rejected_EndsBothSidesWithTheAlert) {
    Server server(api);
    Client client(api);
    client.certificate_answer = abi::pending;
    client.start(server.port);
    ASSERT_TRUE(client.wait(C::peer_certificate_received));
    ASSERT_EQ(api->connection_certificate_validation_complete(client.handle, 0, 46), abi::pending);
    ASSERT_TRUE(client.wait(C::shutdown_complete));
    ConnectionRecord& accepted = *server.accept();
    ASSERT_TRUE(accepted.wait(C::shutdown_complete));
    EXPECT_EQ(accepted.transport.status, abi::tls_alert_base + 46);
    EXPECT_FALSE(client.seen(C::connected));
}

TEST_F(Loopback, Certificate_AcceptedLater_Connects) {
    Server server(api);
    Client client(api);
    client.certificate_answer = abi::pending;
    client.start(server.port);
    ASSERT_TRUE(client.wait(C::peer_certificate_received));
    ASSERT_TRUE(client.wait(C::streams_available));
    EXPECT_FALSE(client.seen(C::connected));
    ASSERT_EQ(api->connection_certificate_validation_complete(client.handle, 1, 0), abi::pending);
    ASSERT_TRUE(client.wait(C::connected));
}

TEST_F(Loopback, Idle_Connection_EndsByItself) {
    Server server(api, "kwik", {.idle_ms = 300});
    Client client(api);
    client.connect(server.port);
    ASSERT_TRUE(client.wait(C::shutdown_complete));
    EXPECT_EQ(client.transport.status, abi::connection_idle);
    EXPECT_EQ(client.transport.error, 1u);
}

TEST_F(Loopback, Listener_PortInUse_IsReported) {
    Server server(api);
    Server same_protocol(api, "kwik", {}, loopback_address(server.port));
    EXPECT_EQ(same_protocol.start_status, abi::alpn_in_use);
    Server other_protocol(api, "other", {}, loopback_address(server.port));
    EXPECT_EQ(other_protocol.start_status, abi::success);
    Client client(api, "other");
    client.connect(server.port);
    EXPECT_NE(other_protocol.accept(), nullptr);
}

TEST_F(Loopback, Close_WithoutShutdownFromManyThreads_NeverCallsBackAfterwards) {
    Server server(api, "kwik", {.bidi = 100, .unidi = 100});
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned round = 0; round < 25; ++round) {
                Client client(api);
                client.start(server.port);
                if ((round + t) % 5 != 0 && !client.wait(C::connected)) ADD_FAILURE() << "not connected";
                std::vector<std::unique_ptr<StreamRecord>> streams;
                std::string bytes = pattern(100'000, t);
                for (unsigned i = 0; i < 8; ++i) {
                    streams.push_back(std::make_unique<StreamRecord>(api));
                    streams.back()->open(client.handle, i % 2 == 0);
                    EXPECT_EQ(streams.back()->start(), abi::pending);
                    EXPECT_EQ(streams.back()->send(bytes, i % 3 == 0), abi::pending);
                }
                // Half of the time the connection goes first. The records check that nothing comes after their close.
                if (round % 2 == 0) client.close();
                streams.clear();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

TEST_F(Loopback, Close_OfAStreamThatNobodyStarted_Closes) {
    Client client(api);
    StreamRecord stream(api);
    stream.open(client.handle, false);
    EXPECT_EQ(api->stream_shutdown(stream.handle, abi::shutdown_abort_receive, 1), abi::pending);
    stream.close();
}

// More than the peer may open at once: each that is closed unread makes room for another.
TEST_F(Loopback, Close_OfAStreamThatCameWholeAndIsUnread_MakesRoomForAnother) {
    Server server(api, "kwik", {.bidi = 0, .unidi = 2});
    server.prepare = [](StreamRecord& peer) { peer.limit = 0; };
    server.delays_credit = false;
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    std::string text = "unread";
    for (int i = 0; i < 10; ++i) {
        StreamRecord stream(api);
        stream.open(client.handle, true);
        ASSERT_EQ(stream.start(), abi::pending);
        ASSERT_EQ(stream.send(text, true), abi::pending);
        ASSERT_TRUE(stream.wait(S::shutdown_complete)) << i;
        StreamRecord& peer = *accepted.accept();
        ASSERT_TRUE(peer.wait(S::receive));
        peer.close();
    }
}

// A callback that is held until a StreamClose of another thread has returned, which must not happen before the callback ends; so, for long enough to see it if it did.
class HeldCallback {
public:
    void hold() {
        entered_.set_value();
        EXPECT_EQ(closed_.get_future().wait_for(std::chrono::milliseconds{200}), std::future_status::timeout) << "StreamClose returned while a callback ran";
    }
    void close(StreamRecord& stream) {
        ASSERT_EQ(entered_.get_future().wait_for(patience), std::future_status::ready);
        stream.close();
        closed_.set_value();
    }

private:
    std::promise<void> entered_, closed_;
};

TEST_F(Loopback, Close_WhileTheWorkerIsInACallbackOfItsOwnSend_WaitsForIt) {
    Server server(api);
    HeldCallback held;
    std::string answer = "answer", question = "question";
    server.prepare = [&](StreamRecord& peer) {
        peer.then = [&](const S& event) {
            if (event.type == S::receive) {
                EXPECT_EQ(peer.send(answer, false), abi::pending);
            } else if (event.type == S::send_complete) {
                held.hold();
            }
        };
    };
    Client client(api);
    client.connect(server.port);
    StreamRecord stream(api);
    stream.open(client.handle, false);
    ASSERT_EQ(stream.start(), abi::pending);
    ASSERT_EQ(stream.send(question, false), abi::pending);
    held.close(*server.accept()->accept());
}

TEST_F(Loopback, Close_WhileAnotherThreadIsInACallbackOfItsSend_WaitsForIt) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    HeldCallback held;
    StreamRecord stream(api);
    stream.then = [&](const S& event) {
        if (event.type == S::send_complete) held.hold();
    };
    stream.open(client.handle, true);
    ASSERT_EQ(stream.start(), abi::pending);
    std::string text = "text";
    std::thread sender([&, handle = stream.handle] {
        const abi::Buffer buffer = buffer_of(text);
        EXPECT_EQ(api->stream_send(handle, &buffer, 1, 0u, nullptr), abi::pending);
    });
    held.close(stream);
    sender.join();
}

// The worker reports the end of the sending stream, and waits for the callback. So what is closed in there must not wait for the worker.
TEST_F(Loopback, Close_WithinACallbackOfItsOwnThread_WaitsForNobody) {
    Server server(api);
    Client client(api);
    client.connect(server.port);
    ConnectionRecord& accepted = *server.accept();
    ASSERT_TRUE(accepted.wait(C::connected));
    StreamRecord sending(api), other(api);
    bool closed = false;
    sending.then = [&](const S& event) {
        if (event.type != S::send_complete) return;
        api->connection_shutdown(accepted.handle, 0, 7);
        EXPECT_TRUE(client.wait(C::shutdown_by_peer));
        api->stream_close(std::exchange(other.handle, nullptr));
        api->stream_close(std::exchange(sending.handle, nullptr));
        api->connection_close(std::exchange(client.handle, nullptr));
        closed = true;
    };
    for (StreamRecord* stream : {&sending, &other}) {
        stream->open(client.handle, true);
        ASSERT_EQ(stream->start(), abi::pending);
        ASSERT_TRUE(stream->wait(S::start_complete));
    }
    std::string text = "text";
    ASSERT_EQ(sending.send(text, false), abi::pending);
    EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace kwik::test
