using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Session.Tests.Simulated;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Security;

/// <summary>Tokens and grants that are not what they should be, shown to a secondary server by a client of its own making.</summary>
public sealed class ForgedStatementTests
{
    private static readonly ByteString SessionId = ByteString.CopyFrom([.. Enumerable.Range(1, 16).Select(i => (byte)i)]);
    private static readonly MemoryContent Content = MemoryContent.Random(1, 10_000);

    public static TheoryData<string> BadTokens => [.. Tokens.Keys];

    public static TheoryData<string> BadGrants => [.. Grants.Keys];

    private static Dictionary<string, Action<PathToken>> Tokens { get; } = new()
    {
        ["expired"] = token => token.Expires = token.NotBefore - 31,
        ["not valid yet"] = token => token.NotBefore = token.Expires,
        ["for another client"] = token => token.ClientKey = Other(32),
        ["for another server"] = token =>
        {
            token.ServerKeys.Clear();
            token.ServerKeys.Add(Other(32));
        },
        ["for no server"] = token => token.ServerKeys.Clear(),
        ["for another session"] = token => token.SessionId = Other(16),
        ["for path 0"] = token => token.PathId = 0,
        ["for a path of more than 31 bits"] = token => token.PathId = uint.MaxValue,
    };

    private static Dictionary<string, Action<Grant>> Grants { get; } = new()
    {
        ["expired"] = grant => grant.Expires -= 600 + 31,
        ["for another client"] = grant => grant.ClientKey = Other(32),
        ["for another session"] = grant => grant.SessionId = Other(16),
        ["for another content"] = grant => grant.Root = Other(32),
        ["for a shorter range"] = grant => grant.Length = 99,
        ["without a content"] = grant => grant.Root = ByteString.Empty,
    };

    [Theory]
    [MemberData(nameof(BadTokens))]
    public void Token_ThatIsNotForThisConnection_IsNotAdmitted(string name) => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        Assert.Equal(KwikError.AuthenticationFailed, await scene.TryConnectAsync(scene.Key, Tokens[name]));
        // And the same token without the flaw is.
        Assert.Equal(KwikError.None, await scene.TryConnectAsync(scene.Key, _ => { }));
    });

    [Fact]
    public void Token_SignedByAnotherKey_IsNotAdmitted() => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        using PrimaryKey own = PrimaryKey.Create();
        Assert.Equal(KwikError.AuthenticationFailed, await scene.TryConnectAsync(own, _ => { }));
    });

    [Fact]
    public void Token_UsedByAnotherClient_IsNotAdmitted() => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        Assert.Equal(KwikError.AuthenticationFailed, await scene.TryConnectAsync(scene.Key, _ => { }, certificate: "thief"));
    });

    [Theory]
    [MemberData(nameof(BadGrants))]
    public void Grant_ThatIsNotForThisRequest_IsRefused(string name) => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        await using RawPeer client = await scene.ConnectAsync();

        Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, 1, scene.Grant(scene.Key, Grants[name])));
        Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, 2, ByteString.Empty));
        Assert.Equal(KwikError.None, await scene.AskAsync(client, 3, scene.Grant(scene.Key, _ => { })));
        Assert.Equal(KwikError.None, await scene.AskAsync(client, 4, ByteString.Empty));
    });

    [Fact]
    public void Grant_SignedByAnotherKeyOrChanged_IsRefused() => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        await using RawPeer client = await scene.ConnectAsync();
        using PrimaryKey own = PrimaryKey.Create();
        byte[] good = scene.Grant(scene.Key, _ => { }).ToByteArray();
        ulong id = 0;

        Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, ++id, scene.Grant(own, _ => { })));
        for (int bit = 0; bit < good.Length * 8; bit += 11)
        {
            byte[] flipped = [.. good];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, ++id, ByteString.CopyFrom(flipped)));
        }

        for (int cut = 1; cut < good.Length; cut++)
        {
            Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, ++id, ByteString.CopyFrom(good[..cut])));
        }
    });

    [Fact]
    public void Grant_OfAnotherStream_DoesNotServeThisOne() => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        await using RawPeer client = await scene.ConnectAsync();
        Assert.Equal(KwikError.None, await scene.AskAsync(client, 1, scene.Grant(scene.Key, _ => { })));
        Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, 2, ByteString.Empty, streamId: 5));
    });

    [Fact]
    public void Grant_ThatExpiresMeanwhile_ServesNoNewRequest() => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        await using RawPeer client = await scene.ConnectAsync();
        ByteString grant = scene.Grant(scene.Key, _ => { });
        Assert.Equal(KwikError.None, await scene.AskAsync(client, 1, grant));
        for (int minute = 0; minute < 11; minute++)
        {
            await world.Delay(TimeSpan.FromMinutes(1));
        }

        Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, 2, ByteString.Empty));
        Assert.Equal(KwikError.AuthenticationFailed, await scene.AskAsync(client, 3, grant));
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Stream_OfAClientThatWasAdmitted_GetsNoCredit(bool bidirectional) => Simulation.Run(1, async world =>
    {
        await using var scene = await Scene.StartAsync(world);
        await using RawPeer client = await scene.ConnectAsync();
        Task<ITransportStream> opening = client.Connection.OpenStreamAsync(bidirectional, CancellationToken.None).AsTask();
        await world.Delay(TimeSpan.FromSeconds(1));
        Assert.False(opening.IsCompleted);
        await client.DisposeAsync();
        await Assert.ThrowsAnyAsync<KwikException>(() => opening);
    });

    private static ByteString Other(int length) => ByteString.CopyFrom(new byte[length]);

    private sealed class Scene(SimulatedWorld world, SimulatedDeployment deployment) : IAsyncDisposable
    {
        private readonly KeyHash _server = KeyHash.OfCertificate(TestCertificates.SelfSigned("secondary 1"));
        private readonly KeyHash _client = KeyHash.OfCertificate(TestCertificates.SelfSigned("client"));

        /// <summary>What the secondary trusts.</summary>
        public PrimaryKey Key => deployment.SigningKey;

        private long Now => world.Time.GetUtcNow().ToUnixTimeSeconds();

        public static async Task<Scene> StartAsync(SimulatedWorld world)
        {
            var deployment = new SimulatedDeployment(world);
            await deployment.StartSecondaryAsync("secondary 1", Content.Replica());
            return new(world, deployment);
        }

        public Task<RawPeer> ConnectAsync() => RawPeer.ConnectAsync(
            deployment.ClientHost, world.Host("secondary 1"), Request(Key, _ => { }));

        /// <summary>None when the secondary admits the token, else what it closes the connection with.</summary>
        public async Task<KwikError> TryConnectAsync(PrimaryKey key, Action<PathToken> change, string certificate = "client")
        {
            await using RawPeer client = await RawPeer.ConnectAsync(deployment.ClientHost, world.Host("secondary 1"), certificate);
            await client.SendAsync(new ControlFrame { Authenticate = Request(key, change) });
            try
            {
                return (await client.ReceiveAsync())?.Authenticated is null ? KwikError.Internal : KwikError.None;
            }
            catch (KwikException e)
            {
                return e.Code;
            }
        }

        public ByteString Grant(PrimaryKey key, Action<Grant> change)
        {
            var grant = new Grant
            {
                SessionId = SessionId,
                ClientKey = ByteString.CopyFrom(_client.Bytes),
                Root = ByteString.CopyFrom(Content.Offer.Root.ToByteArray()),
                Length = (ulong)Content.Offer.Length,
                Expires = Now + 600,
            };
            change(grant);
            return ByteString.CopyFrom(key.Sign(new Statement { Grant = grant }));
        }

        /// <summary>Asks for 100 bytes: None when they come, else why they do not.</summary>
        public async Task<KwikError> AskAsync(RawPeer client, ulong id, ByteString grant, ulong streamId = 1)
        {
            await client.SendAsync(new ControlFrame
            {
                RangeRequest = new RangeRequest
                {
                    RequestId = id,
                    KwikStreamId = streamId,
                    Root = ByteString.CopyFrom(Content.Offer.Root.ToByteArray()),
                    Length = 100,
                    Grant = grant,
                },
            });
            // An answer to this comes behind what the request gives rise to on the control stream.
            await client.SendAsync(new ControlFrame { Heartbeat = new Heartbeat { Sequence = id } });
            while (true)
            {
                ControlFrame answer = await client.ReceiveAsync() ?? throw new EndOfStreamException();
                if (answer.RangeRefused is { } refused && refused.RequestId == id)
                {
                    return (KwikError)refused.ErrorCode;
                }

                if (answer.HeartbeatAck?.Sequence == id)
                {
                    await world.Delay(TimeSpan.FromMilliseconds(100));
                    // Acknowledgements are urgent and may have overtaken a refusal.
                    await client.SendAsync(new ControlFrame { Heartbeat = new Heartbeat { Sequence = id + (1UL << 32) } });
                }

                if (answer.HeartbeatAck?.Sequence == id + (1UL << 32))
                {
                    ITransportStream range = await client.Connection.AcceptStreamAsync(CancellationToken.None);
                    Assert.True((await range.ReadToEndAsync()).Length > 100);
                    await range.DisposeAsync();
                    return KwikError.None;
                }
            }
        }

        public ValueTask DisposeAsync() => deployment.DisposeAsync();

        private Authenticate Request(PrimaryKey key, Action<PathToken> change)
        {
            var token = new PathToken
            {
                SessionId = SessionId,
                PathId = 1,
                ClientKey = ByteString.CopyFrom(_client.Bytes),
                NotBefore = Now,
                Expires = Now + 600,
            };
            token.ServerKeys.Add(ByteString.CopyFrom(_server.Bytes));
            change(token);
            return new Authenticate
            {
                Version = 1,
                Role = Role.Secondary,
                SessionId = SessionId,
                PathToken = ByteString.CopyFrom(key.Sign(new Statement { PathToken = token })),
            };
        }
    }
}
