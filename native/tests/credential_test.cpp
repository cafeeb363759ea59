#include "credential.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "pkcs12_stores.h"
#include "pki.h"

namespace kwik::test {
namespace {

// QUIC_CREDENTIAL_FLAGS and QUIC_STATUS.
constexpr std::uint32_t client = 0x1, no_validation = 0x4, indicate = 0x10, ask_client = 0x40, suites = 0x2000, portable = 0x4000;
constexpr std::uint32_t dotnet_client = client | no_validation | indicate | portable, dotnet_server = portable, dotnet_asking_server = portable | ask_client | indicate | no_validation;
constexpr std::uint32_t success = 0, invalid_parameter = 22, not_supported = 95, tls_error = 126;

using Loaded = std::shared_ptr<const Credential>;

Bytes from_base64(const char* text) {
    const std::string copy{text};
    const gnutls_datum_t encoded{reinterpret_cast<unsigned char*>(const_cast<char*>(copy.data())), static_cast<unsigned>(copy.size())};
    gnutls_datum_t decoded;
    ok(gnutls_base64_decode2(&encoded, &decoded));
    return take(decoded);
}

std::uint32_t load(const Bytes& store, Loaded& out, const char* password = nullptr) {
    return Credential::load({.flags = dotnet_server, .pkcs12 = store, .password = password}, out);
}

std::uint32_t load(const Bytes& store, const char* password = nullptr) {
    Loaded loaded;
    return load(store, loaded, password);
}

// Common names of the certificates that a peer will get.
std::vector<std::string> presented(const Credential& credential) {
    gnutls_x509_crt_t* certificates;
    unsigned count;
    ok(gnutls_certificate_get_x509_crt(credential.certificates(), 0, &certificates, &count));
    std::vector<std::string> names;
    for (unsigned i = 0; i < count; ++i) {
        char name[64];
        std::size_t size = sizeof name;
        ok(gnutls_x509_crt_get_dn_by_oid(certificates[i], GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size));
        names.emplace_back(name, size);
        gnutls_x509_crt_deinit(certificates[i]);
    }
    gnutls_free(certificates);
    return names;
}

using Names = std::vector<std::string>;

Names presented_by(const Bytes& store, const char* password = nullptr) {
    Loaded loaded;
    EXPECT_EQ(load(store, loaded, password), success);
    return loaded ? presented(*loaded) : Names{};
}

TEST(Credential, ReadsEveryStoreThatDotNetWrites) {
    EXPECT_EQ(presented_by(from_base64(stores::ecdsa)), Names{"kwik test ecdsa"});
    EXPECT_EQ(presented_by(from_base64(stores::rsa)), Names{"kwik test rsa"});
    EXPECT_EQ(presented_by(from_base64(stores::aes)), Names{"kwik test ecdsa"});
    EXPECT_EQ(presented_by(from_base64(stores::aes_empty_password)), Names{"kwik test ecdsa"});
    EXPECT_EQ(presented_by(from_base64(stores::chain)), (Names{"kwik test leaf", "kwik test intermediate"}));
    EXPECT_EQ(presented_by(from_base64(stores::chain_with_two_keys)), (Names{"kwik test leaf", "kwik test intermediate"}));
}

TEST(Credential, Password_MustBeTheRightOne) {
    const Bytes store = from_base64(stores::secret);
    EXPECT_EQ(load(store, "secret"), success);
    EXPECT_EQ(load(store, "Secret"), tls_error);
    EXPECT_EQ(load(store, ""), tls_error);
    EXPECT_EQ(load(store, nullptr), tls_error);
    EXPECT_EQ(load(from_base64(stores::ecdsa), "secret"), tls_error);
}

TEST(Credential, StoreWithoutAMac) {
    EXPECT_EQ(presented_by(from_base64(stores::openssl_plain)), Names{"kwik test ecdsa"});
    EXPECT_EQ(presented_by(from_base64(stores::openssl_without_mac), "secret"), Names{"kwik test ecdsa"});
    EXPECT_EQ(load(from_base64(stores::openssl_without_mac)), tls_error);
    EXPECT_EQ(load(from_base64(stores::openssl_without_mac), "other"), tls_error);
}

TEST(Credential, Chain_IsOrderedWhateverTheStoresOrder) {
    const Identity root = make_identity("root"), intermediate = make_identity("intermediate", GNUTLS_PK_ECDSA, &root), leaf = make_identity("leaf", GNUTLS_PK_ECDSA, &intermediate);
    const Names ordered{"leaf", "intermediate", "root"};
    const auto &r = root.certificate, &i = intermediate.certificate, &l = leaf.certificate;
    EXPECT_EQ(presented_by(make_store({leaf.key}, {l, i, r})), ordered);
    EXPECT_EQ(presented_by(make_store({leaf.key}, {r, i, l})), ordered);
    EXPECT_EQ(presented_by(make_store({leaf.key}, {i, l, r})), ordered);
    EXPECT_EQ(presented_by(make_store({root.key, intermediate.key, leaf.key}, {r, i, l})), ordered);
}

TEST(Credential, Chain_LeavesOutWhatDidNotIssueTheLeaf) {
    const Identity root = make_identity("root"), leaf = make_identity("leaf", GNUTLS_PK_ECDSA, &root), stranger = make_identity("stranger");
    EXPECT_EQ(presented_by(make_store({leaf.key}, {stranger.certificate, leaf.certificate, root.certificate})), (Names{"leaf", "root"}));
}

TEST(Credential, Chain_OfCertificatesThatIssuedEachOtherEnds) {
    // Two names that signed each other: no order exists, but the loading must end.
    const Identity first = make_identity("first"), second = make_identity("second", GNUTLS_PK_ECDSA, &first);
    gnutls_x509_crt_t cross;
    ok(gnutls_x509_crt_init(&cross));
    const CertificatePtr crossed{cross, gnutls_x509_crt_deinit};
    const Bytes encoded = der(first.certificate);
    const gnutls_datum_t data{const_cast<unsigned char*>(encoded.data()), static_cast<unsigned>(encoded.size())};
    ok(gnutls_x509_crt_import(cross, &data, GNUTLS_X509_FMT_DER));
    ok(gnutls_x509_crt_sign2(cross, second.certificate.get(), second.key.get(), GNUTLS_DIG_SHA256, 0));
    EXPECT_EQ(presented_by(make_store({first.key}, {crossed, second.certificate})), (Names{"first", "second"}));
}

TEST(Credential, StoreWithoutAUsableIdentityIsATlsError) {
    const Identity identity = make_identity("a"), other = make_identity("b");
    EXPECT_EQ(load(from_base64(stores::without_key)), tls_error);
    EXPECT_EQ(load(make_store({other.key}, {identity.certificate})), tls_error);
    EXPECT_EQ(load(make_store({identity.key}, {})), tls_error);
    EXPECT_EQ(load(Bytes{0x30, 0x00}), tls_error);
    EXPECT_EQ(load(Bytes(100, 0x41)), tls_error);
}

TEST(Credential, DamagedStoreIsATlsErrorOrTheSameIdentity) {
    const Bytes whole = from_base64(stores::ecdsa);
    for (std::size_t size = 1; size < whole.size(); size += 7) {
        ASSERT_EQ(load(Bytes{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), tls_error) << size;
    }
    std::mt19937 random{20260103};
    int failed = 0;
    for (int round = 0; round < 200; ++round) {
        Bytes damaged = whole;
        damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
        Loaded loaded;
        const std::uint32_t status = load(damaged, loaded);
        ASSERT_TRUE(status == tls_error || (status == success && presented(*loaded) == Names{"kwik test ecdsa"})) << round;
        failed += status == tls_error;
    }
    EXPECT_GT(failed, 150);
}

TEST(Credential, FlagsOfDotNetMeanWhatTheySay) {
    const Bytes store = from_base64(stores::ecdsa);
    Loaded loaded;
    ASSERT_EQ(Credential::load({.flags = dotnet_client}, loaded), success);
    EXPECT_TRUE(loaded->is_client());
    EXPECT_TRUE(loaded->indicates_certificate());
    EXPECT_FALSE(loaded->requires_client_certificate());
    ASSERT_EQ(Credential::load({.flags = dotnet_client, .pkcs12 = store}, loaded), success);
    EXPECT_EQ(presented(*loaded), Names{"kwik test ecdsa"});
    ASSERT_EQ(Credential::load({.flags = dotnet_server, .pkcs12 = store}, loaded), success);
    EXPECT_FALSE(loaded->is_client());
    EXPECT_FALSE(loaded->indicates_certificate());
    ASSERT_EQ(Credential::load({.flags = dotnet_asking_server, .pkcs12 = store}, loaded), success);
    EXPECT_TRUE(loaded->requires_client_certificate());
    EXPECT_TRUE(loaded->indicates_certificate());
}

TEST(Credential, FlagsThatCannotBeHonouredAreRefused) {
    const Bytes store = from_base64(stores::ecdsa);
    const auto status = [&store](std::uint32_t flags, bool with_store = true) {
        Loaded loaded;
        const std::uint32_t result = Credential::load({.flags = flags, .pkcs12 = with_store ? std::span<const std::uint8_t>{store} : std::span<const std::uint8_t>{}}, loaded);
        EXPECT_EQ(loaded != nullptr, result == success);
        return result;
    };
    EXPECT_EQ(status(dotnet_server, false), invalid_parameter);
    EXPECT_EQ(status(dotnet_client | ask_client), invalid_parameter);
    EXPECT_EQ(status(client), not_supported);
    EXPECT_EQ(status(client | indicate), not_supported);
    EXPECT_EQ(status(portable | ask_client | indicate), not_supported);
    for (const std::uint32_t flag : {0x2u, 0x8u, 0x20u, 0x80u, 0x100u, 0x1000u, 0x8000u, 0x80000u, 0x100000u, 0x80000000u}) EXPECT_EQ(status(dotnet_client | flag), not_supported) << flag;
}

TEST(Credential, CipherSuites_NeedOneThatIsKnown) {
    Loaded loaded;
    EXPECT_EQ(Credential::load({.flags = dotnet_client | suites, .allowed_cipher_suites = 0}, loaded), invalid_parameter);
    EXPECT_EQ(Credential::load({.flags = dotnet_client | suites, .allowed_cipher_suites = 8}, loaded), invalid_parameter);
    EXPECT_EQ(loaded, nullptr);
    for (std::uint32_t allowed = 1; allowed <= 7; ++allowed) EXPECT_EQ(Credential::load({.flags = dotnet_client | suites, .allowed_cipher_suites = allowed}, loaded), success);
    EXPECT_EQ(Credential::load({.flags = dotnet_client, .allowed_cipher_suites = 0}, loaded), success);
}

TEST(Credential, FailureLeavesTheResultAlone) {
    Loaded loaded;
    ASSERT_EQ(load(from_base64(stores::ecdsa), loaded), success);
    const Loaded before = loaded;
    EXPECT_EQ(load(Bytes(8, 0), loaded), tls_error);
    EXPECT_EQ(loaded, before);
}

}  // namespace
}  // namespace kwik::test
