// Handshakes between two ngtcp2 connections in memory, with a clock that the test moves.
#include "tls.h"

#include <gnutls/pkcs7.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "tls_fixture.h"
#include "wire.h"

namespace kwik::test {
namespace {

TEST_F(Tls, Client_WaitsForTheAnswerToTheCertificate) {
    start(load(client_flags), server_credential());
    run();
    EXPECT_EQ(client_.certificate_events, 1);
    EXPECT_TRUE(client_.tls().certificate_pending());
    EXPECT_EQ(client_.completed, 0);
    EXPECT_EQ(server_.completed, 0);

    accept_on(client_);
    EXPECT_EQ(client_.tls().certificate_state(), CertificateState::accepted);
    EXPECT_EQ(client_.completed, 1);
    run();
    expect_both_completed();
    EXPECT_EQ(server_.tls().certificate_state(), CertificateState::none);
    EXPECT_EQ(client_.certificate_events, 1);
}

TEST_F(Tls, Client_ShowsTheLoneCertificateWithoutAChain) {
    start(load(client_flags), server_credential());
    run();
    EXPECT_EQ(client_.tls().peer_certificate().leaf, der(server_identity().certificate));
    EXPECT_TRUE(client_.tls().peer_certificate().chain.empty());
    client_.tls().release_peer_certificate();
    EXPECT_TRUE(client_.tls().peer_certificate().leaf.empty());
    accept_on(client_);
    run();
    expect_both_completed();
}

TEST_F(Tls, Client_ShowsTheChainAsPkcs7) {
    const Identity root = make_identity("root", GNUTLS_PK_RSA), intermediate = make_identity("intermediate", GNUTLS_PK_ECDSA, &root),
                   leaf = make_identity("leaf", GNUTLS_PK_RSA, &intermediate);
    start(load(client_flags), load(server_flags, make_store({leaf.key}, {root.certificate, leaf.certificate, intermediate.certificate})));
    run();
    const PeerCertificate& peer = client_.tls().peer_certificate();
    EXPECT_EQ(peer.leaf, der(leaf.certificate));

    gnutls_pkcs7_t envelope;
    ok(gnutls_pkcs7_init(&envelope));
    const gnutls_datum_t encoded{const_cast<unsigned char*>(peer.chain.data()), static_cast<unsigned>(peer.chain.size())};
    ASSERT_EQ(gnutls_pkcs7_import(envelope, &encoded, GNUTLS_X509_FMT_DER), 0);
    std::multiset<Bytes> certificates;
    for (int i = 0; i < gnutls_pkcs7_get_crt_count(envelope); ++i) {
        gnutls_datum_t certificate;
        ok(gnutls_pkcs7_get_crt_raw2(envelope, static_cast<unsigned>(i), &certificate));
        certificates.insert(take(certificate));
    }
    gnutls_pkcs7_deinit(envelope);
    EXPECT_EQ(certificates, (std::multiset{der(leaf.certificate), der(intermediate.certificate), der(root.certificate)}));
    accept_on(client_);
    run();
    expect_both_completed();
}

TEST_F(Tls, Client_RejectsWithTheAlertOfTheApplication) {
    for (const auto& [alert, sent] : {std::pair{46u, 46u}, std::pair{0xffffu, std::uint32_t{alert_bad_certificate}}}) {
        Endpoint client{false}, server{true};
        client.start_client(TlsSession::client(load(client_flags), client_alpn_, server_name_), original_dcid_);
        server.start_server(TlsSession::server(server_credential(), server_alpn_), client.scid(), original_dcid_);
        for (auto packet = client.write(++now_); packet; packet = client.write(++now_)) server.read(*packet, ++now_);
        for (auto packet = server.write(++now_); packet; packet = server.write(++now_)) client.read(*packet, ++now_);
        ASSERT_TRUE(client.tls().certificate_pending());

        client.answer(false, alert, ++now_);
        EXPECT_EQ(client.error, NGTCP2_ERR_CRYPTO);
        EXPECT_EQ(ngtcp2_conn_get_tls_alert(client.conn()), sent);
        EXPECT_EQ(client.tls().certificate_state(), CertificateState::rejected);
        for (auto packet = client.write(++now_); packet; packet = client.write(++now_)) server.read(*packet, ++now_);
        EXPECT_EQ(server.error, NGTCP2_ERR_DRAINING);
        EXPECT_EQ(server.close_code_from_peer(), crypto_error + sent);
        EXPECT_EQ(client.completed + server.completed, 0);
    }
}

TEST_F(Tls, ResumeValidation_OutsideThePauseDoesNothing) {
    start(load(client_flags), server_credential());
    EXPECT_EQ(client_.tls().resume_validation(false, 42), 0);
    EXPECT_EQ(client_.tls().certificate_state(), CertificateState::none);
    run();
    accept_on(client_);
    run();
    EXPECT_EQ(client_.tls().resume_validation(false, 42), 0);
    EXPECT_EQ(client_.tls().certificate_state(), CertificateState::accepted);
    expect_both_completed();
}

// Why write_unknown_version_packet exists. When this fails, ngtcp2 has mended it and the packet can go.
TEST_F(Tls, Ngtcp2_LosesHandshakeCompletedWhenItWritesFirstAfterThePause) {
    start(load(client_flags), server_credential());
    run();
    EXPECT_EQ(client_.tls().resume_validation(true, 0), 0);
    if (NGTCP2_VERSION_NUM >= 0x010000) {
        // It has not taken over the server's transport parameters and reads them all the same.
        GTEST_FLAG_SET(death_test_style, "threadsafe");
        EXPECT_DEATH(run(), "");
        return;
    }
    run();
    EXPECT_EQ(server_.completed, 1);
    EXPECT_EQ(client_.completed, 0);
}

// What ngtcp2 does when more of the peer's flight arrives. The whole flight is there, so nothing but the pause keeps the handshake from its end.
TEST_F(Tls, Pause_HoldsWhenTheHandshakeIsTriedAgain) {
    start(load(client_flags), asking_server_credential());
    run();
    for (Endpoint* side : {&client_, &server_}) {
        ASSERT_TRUE(side->tls().certificate_pending());
        for (int i = 0; i < 3; ++i) EXPECT_EQ(ngtcp2_crypto_read_write_crypto_data(side->conn(), NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, nullptr, 0), 0);
        side->read_unknown_version(++now_);
        EXPECT_TRUE(side->tls().certificate_pending());
        EXPECT_EQ(side->completed, 0);
        EXPECT_EQ(side->certificate_events, 1);
        accept_on(*side);
        run();
    }
    expect_both_completed();
}

TEST_F(Tls, Client_SurvivesTheServersRetransmissionsDuringThePause) {
    start(load(client_flags), server_credential());
    while (auto packet = client_.write(++now_)) server_.read(*packet, ++now_);
    while (auto packet = server_.write(++now_)) client_.read(*packet, ++now_);
    ASSERT_TRUE(client_.tls().certificate_pending());
    while (client_.write(++now_)) {}  // The acknowledgements are lost.
    now_ = ngtcp2_conn_get_expiry(server_.conn());
    ASSERT_EQ(ngtcp2_conn_handle_expiry(server_.conn(), now_), 0);
    int retransmitted = 0;
    while (auto packet = server_.write(++now_)) {
        client_.read(*packet, ++now_);
        ++retransmitted;
    }
    EXPECT_GE(retransmitted, 1);
    EXPECT_EQ(client_.certificate_events, 1);
    EXPECT_EQ(client_.completed, 0);
    accept_on(client_);
    run();
    expect_both_completed();
}

TEST_F(Tls, Server_GetsTheClientsCertificateAndWaits) {
    const Identity client_identity = make_identity("client", GNUTLS_PK_RSA);
    connect(load(client_flags, make_store(client_identity)), asking_server_credential());
    EXPECT_EQ(server_.certificate_events, 1);
    EXPECT_EQ(server_.tls().peer_certificate().leaf, der(client_identity.certificate));
    EXPECT_TRUE(server_.tls().peer_certificate().chain.empty());
    EXPECT_EQ(server_.completed, 0);
    accept_on(server_);
    EXPECT_EQ(server_.completed, 1);
    run();
    expect_both_completed();
}

TEST_F(Tls, Server_DeliversWhatTheClientSentDuringThePause) {
    connect(load(client_flags), asking_server_credential());
    const Bytes packet = client_.write_stream("early", ++now_);
    server_.read(packet, ++now_);
    EXPECT_EQ(server_.received, "");
    accept_on(server_);
    EXPECT_EQ(server_.received, "early");
    run();
    expect_both_completed();
}

TEST_F(Tls, Server_GetsTheEventWithoutACertificateWhenTheClientHasNone) {
    connect(load(client_flags), asking_server_credential());
    EXPECT_EQ(server_.certificate_events, 1);
    EXPECT_TRUE(server_.tls().certificate_pending());
    EXPECT_TRUE(server_.tls().peer_certificate().leaf.empty());
    EXPECT_TRUE(server_.tls().peer_certificate().chain.empty());
    accept_on(server_);
    run();
    expect_both_completed();
}

TEST_F(Tls, Server_RejectsAClientThatBelievesItIsConnected) {
    connect(load(client_flags), asking_server_credential());
    reject_on(server_, alert_certificate_required);
    run();
    EXPECT_EQ(server_.error, NGTCP2_ERR_CRYPTO);
    EXPECT_EQ(server_.completed, 0);
    EXPECT_EQ(client_.error, NGTCP2_ERR_DRAINING);
    EXPECT_EQ(client_.close_code_from_peer(), crypto_error + alert_certificate_required);
}

TEST_F(Tls, Server_AsksNobodyUnlessToldTo) {
    connect(load(client_flags, make_store(make_identity("client"))), server_credential());
    EXPECT_EQ(server_.certificate_events, 0);
    EXPECT_EQ(server_.tls().certificate_state(), CertificateState::none);
    expect_both_completed();
}

TEST_F(Tls, Client_WithoutIndicationDoesNotWait) {
    constexpr std::uint32_t silent_client = 0x5;
    start(load(silent_client), server_credential());
    run();
    EXPECT_EQ(client_.certificate_events, 0);
    expect_both_completed();
}

TEST_F(Tls, Alpn_IsTheServersFirstChoiceThatTheClientKnows) {
    client_alpn_ = wire_list({"a", "b", "c"});
    server_alpn_ = wire_list({"x", "c", "a"});
    connect(load(client_flags), server_credential());
    EXPECT_EQ(text(client_.tls().negotiated_alpn()), "c");
    EXPECT_EQ(text(server_.tls().negotiated_alpn()), "c");
    expect_both_completed();
}

TEST_F(Tls, Alpn_TakesTheLongestAndTheMostNamesThatItPromises) {
    const std::string longest(31, 'n');
    client_alpn_ = server_alpn_ = wire_list({longest, "2", "3", "4", "5", "6", "7", "8"});
    ASSERT_TRUE(valid_alpn_list(client_alpn_));
    connect(load(client_flags), server_credential());
    EXPECT_EQ(text(client_.tls().negotiated_alpn()), longest);
}

TEST_F(Tls, Alpn_MismatchEndsBothSidesWithItsAlert) {
    client_alpn_ = wire_list({"other"});
    start(load(client_flags), server_credential());
    run();
    EXPECT_EQ(server_.error, NGTCP2_ERR_CRYPTO);
    EXPECT_EQ(ngtcp2_conn_get_tls_alert(server_.conn()), alert_no_application_protocol);
    EXPECT_EQ(client_.error, NGTCP2_ERR_DRAINING);
    EXPECT_EQ(client_.close_code_from_peer(), crypto_error + alert_no_application_protocol);
    EXPECT_TRUE(server_.tls().negotiated_alpn().empty());
}

TEST_F(Tls, Client_OffersNoSessionIdForMiddleboxes) {
    start(load(client_flags), server_credential());
    while (auto packet = client_.write(++now_)) server_.read(*packet, ++now_);
    constexpr std::size_t session_id_length = 4 + 2 + 32;  // After the header, the version and the random bytes.
    ASSERT_GT(server_.initial_crypto.size(), session_id_length);
    EXPECT_EQ(server_.initial_crypto[session_id_length], 0);
}

TEST_F(Tls, ServerName_ReachesTheServersReader) {
    struct {
        std::string given, sent;
    } const cases[] = {{"kwik.test", "kwik.test"}, {"kwik.test.", "kwik.test"}, {"localhost", "localhost"}, {"", ""},      {"127.0.0.1", ""},
                       {"::1", ""},                {"fe80::1%eth0", ""},        {"10.1", "10.1"},           {".", ""},     {std::string(300, 'a'), ""}};
    const auto client_credential = load(client_flags);
    for (const auto& [given, sent] : cases) {
        Endpoint client{false}, server{true};
        client.start_client(TlsSession::client(client_credential, client_alpn_, given), original_dcid_);
        server.start_server(TlsSession::server(server_credential(), server_alpn_), client.scid(), original_dcid_);
        for (auto packet = client.write(++now_); packet; packet = client.write(++now_)) server.read(*packet, ++now_);
        ClientHello hello;
        ASSERT_EQ(read_client_hello(server.initial_crypto, hello), HelloStatus::ok) << given;
        EXPECT_EQ(hello.server_name, sent) << given;
        EXPECT_EQ(text(hello.alpn_list), text(client_alpn_)) << given;
    }
}

TEST_F(Tls, HandshakeInfo_NamesTheSuite) {
    struct {
        std::uint32_t allowed, suite, cipher;
        std::int32_t bits;
        std::uint32_t hash;
    } const cases[] = {{1, 0x1301, 0x660e, 128, 0x800c}, {2, 0x1302, 0x6610, 256, 0x800d}, {4, 0x1303, 0x6612, 256, 0x800c}, {0, 0x1301, 0x660e, 128, 0x800c}, {6, 0x1302, 0x6610, 256, 0x800d}};
    for (const auto& [allowed, suite, cipher, bits, hash] : cases) {
        Endpoint client{false}, server{true};
        client.start_client(TlsSession::client(load(client_flags, {}, allowed), client_alpn_, ""), original_dcid_);
        server.start_server(TlsSession::server(server_credential(), server_alpn_), client.scid(), original_dcid_);
        HandshakeInfo info{.protocol = 7};
        EXPECT_FALSE(client.tls().handshake_info(info));
        EXPECT_EQ(info.protocol, 7u);
        for (auto packet = client.write(++now_); packet; packet = client.write(++now_)) server.read(*packet, ++now_);
        for (auto packet = server.write(++now_); packet; packet = server.write(++now_)) client.read(*packet, ++now_);
        client.answer(true, 0, ++now_);
        ASSERT_EQ(client.completed, 1);
        for (Endpoint* side : {&client, &server}) {
            ASSERT_TRUE(side->tls().handshake_info(info));
            EXPECT_EQ(info.protocol, 0x3000u);
            EXPECT_EQ(info.cipher_suite, suite);
            EXPECT_EQ(info.cipher, cipher);
            EXPECT_EQ(info.cipher_strength, bits);
            EXPECT_EQ(info.hash, hash);
            EXPECT_EQ(info.group, 29u);
            EXPECT_EQ(info.hash_strength + info.key_exchange_strength, 0);
            EXPECT_EQ(info.key_exchange, 0u);
        }
    }
}

TEST_F(Tls, CaptureSecrets_GivesBothSidesTheSame) {
    TlsSecrets at_client, at_server;
    start(load(client_flags), server_credential());
    client_.tls().capture_secrets(&at_client);
    server_.tls().capture_secrets(&at_server);
    run();
    accept_on(client_);
    run();
    expect_both_completed();
    EXPECT_EQ(at_client.is_set, TlsSecrets::client_random_set | TlsSecrets::client_handshake_set | TlsSecrets::server_handshake_set | TlsSecrets::client_traffic_set |
                                    TlsSecrets::server_traffic_set);
    EXPECT_EQ(at_client.secret_length, 32);
    EXPECT_EQ(std::memcmp(&at_client, &at_server, sizeof at_client), 0);
    const std::uint8_t zeros[TlsSecrets::max_secret]{};
    for (const auto* secret : {at_client.client_handshake_traffic, at_client.server_handshake_traffic, at_client.client_traffic, at_client.server_traffic}) {
        EXPECT_NE(std::memcmp(secret, zeros, at_client.secret_length), 0);
    }
    EXPECT_NE(std::memcmp(at_client.client_traffic, at_client.server_traffic, at_client.secret_length), 0);
}

TEST_F(Tls, CaptureSecrets_CanBeStopped) {
    TlsSecrets secrets;
    start(load(client_flags), server_credential());
    client_.tls().capture_secrets(&secrets);
    client_.tls().capture_secrets(nullptr);
    run();
    EXPECT_TRUE(client_.tls().certificate_pending());
    EXPECT_EQ(secrets.is_set, 0);
}

TEST_F(Tls, Session_KeepsItsCredentialAlive) {
    auto credential = load(server_flags, make_store(server_identity()));
    const std::weak_ptr<const Credential> watched = credential;
    start(load(client_flags), std::move(credential));
    EXPECT_FALSE(watched.expired());
    run();
    accept_on(client_);
    run();
    expect_both_completed();
}

TEST(TlsSession, RefusesWhatItCannotUse) {
    const auto client = load(client_flags);
    const auto server = server_credential();
    const Bytes alpn = wire_list({"kwik/1"});
    EXPECT_NE(TlsSession::client(client, alpn, ""), nullptr);
    EXPECT_NE(TlsSession::server(server, alpn), nullptr);
    EXPECT_EQ(TlsSession::client(server, alpn, ""), nullptr);
    EXPECT_EQ(TlsSession::server(client, alpn), nullptr);
    EXPECT_EQ(TlsSession::client(nullptr, alpn, ""), nullptr);
    EXPECT_EQ(TlsSession::client(client, {}, ""), nullptr);
}

TEST(TlsSession, ValidAlpnList_KnowsTheLimits) {
    EXPECT_TRUE(valid_alpn_list(wire_list({"h3"})));
    EXPECT_TRUE(valid_alpn_list(wire_list({std::string(31, 'a')})));
    EXPECT_FALSE(valid_alpn_list(wire_list({std::string(32, 'a')})));
    EXPECT_TRUE(valid_alpn_list(wire_list({"1", "2", "3", "4", "5", "6", "7", "8"})));
    EXPECT_FALSE(valid_alpn_list(wire_list({"1", "2", "3", "4", "5", "6", "7", "8", "9"})));
    EXPECT_FALSE(valid_alpn_list({}));
    EXPECT_FALSE(valid_alpn_list(wire_list({"h3", ""})));
    EXPECT_FALSE(valid_alpn_list(Bytes{2, 'h'}));
    EXPECT_FALSE(valid_alpn_list(Bytes{1}));
}

}  // namespace
}  // namespace kwik::test
