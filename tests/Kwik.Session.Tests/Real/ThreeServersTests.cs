using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>One client, one primary and two secondaries on loopback, over real QUIC.</summary>
public sealed class ThreeServersTests
{
    [Fact]
    public async Task OfferedContent_ReadFromThreeServers_ArrivesWholeAndFromAll()
    {
        var content = MemoryContent.Random(1, 24 * 1024 * 1024);
        MemoryContent[] replicas = [content.Replica(), content.Replica()];
        await using var servers = await LoopbackServers.StartAsync(content, replicas);

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            byte[] received = await stream.ReadToEndAsync().WithinAsync();

            Assert.True(content.Is(received));
            Assert.Equal(3, session.GetActivePaths().Count);
        }

        Assert.All([content, .. replicas], server => Assert.NotEqual(0, server.BytesServed));
        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    [Fact]
    public async Task WrongPin_Connect_FailsWithAuthenticationFailed()
    {
        await using var servers = await LoopbackServers.StartAsync(MemoryContent.Random(1, 10), []);

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => servers.ConnectAsync(options => options with
        {
            Pins = [KeyHash.OfCertificate(TestCertificates.SelfSigned("somebody else"))],
        }).WithinAsync());

        Assert.Equal(KwikError.AuthenticationFailed, e.Code);
    }

    [Fact]
    public async Task NobodyListens_Connect_FailsWithPathLost()
    {
        var options = new KwikClientOptions { Primary = new IPEndPoint(IPAddress.Loopback, 9), AcceptAnyPrimary = true };

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => KwikClient.ConnectAsync(options).WithinAsync());

        Assert.Equal(KwikError.PathLost, e.Code);
    }

    [Fact]
    public async Task ManyStreams_EchoedAtOnce_ComeBackWhole()
    {
        await using var servers = await LoopbackServers.StartAsync(null, [], EchoAsync);
        await using ClientSession session = await servers.ConnectAsync();

        await Task.WhenAll(Enumerable.Range(0, 100).Select(async i =>
        {
            var sent = new byte[1000 * i];
            new Random(i).NextBytes(sent);
            await using KwikStream stream = await session.OpenStreamSync();
            Task<byte[]> reading = stream.ReadToEndAsync();
            await stream.WriteAsync(sent);
            stream.CompleteWrites();
            Assert.Equal(sent, await reading);
        })).WithinAsync();
    }

    private static async Task EchoAsync(PrimarySession session)
    {
        while (true)
        {
            KwikStream stream = await session.AcceptStream();
            _ = EchoAsync(stream);
        }
    }

    private static async Task EchoAsync(KwikStream stream)
    {
        await using KwikStream owned = stream;
        await stream.WriteAsync(await stream.ReadToEndAsync());
        stream.CompleteWrites();
    }
}
