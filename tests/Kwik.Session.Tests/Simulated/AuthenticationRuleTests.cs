using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>What comes before a session: strangers learn one code, get little memory and little time.</summary>
public sealed class AuthenticationRuleTests
{
    public static TheoryData<string> FirstFrames => [.. Frames.Keys];

    private static Dictionary<string, ControlFrame> Frames { get; } = new()
    {
        ["another frame"] = new() { Heartbeat = new Heartbeat { Sequence = 1 } },
        ["no frame that is known"] = new(),
        ["version 0"] = new() { Authenticate = new Authenticate { Role = Role.Primary } },
        ["version 2"] = new() { Authenticate = new Authenticate { Version = 2, Role = Role.Primary } },
        ["a role that there is not"] = new() { Authenticate = new Authenticate { Version = 1, Role = (Role)9 } },
        ["the role of a secondary"] = new()
        {
            Authenticate = new Authenticate { Version = 1, Role = Role.Secondary, SessionId = ByteString.CopyFrom(new byte[16]) },
        },
    };

    [Theory]
    [MemberData(nameof(FirstFrames))]
    public void Stranger_WithAnotherFirstFrame_IsNotAdmitted(string name) => AtPrimary(async (_, stranger) =>
    {
        await stranger.SendAsync(Frames[name]);
        Assert.Equal(KwikError.AuthenticationFailed, await stranger.EndAsync());
    });

    [Fact]
    public void Stranger_ThatAnnouncesMoreThan4KiB_IsNotAdmittedBeforeItHasSentThem() => AtPrimary(async (world, stranger) =>
    {
        var frame = new ControlFrame { Authenticate = new Authenticate { Version = 1, Role = Role.Primary } };
        frame.Authenticate.PathToken = ByteString.CopyFrom(new byte[ControlCodec.MaxUnauthenticatedFrameSize]);
        byte[] bytes = ControlCodec.Encode(frame);
        TimeSpan began = world.Time.Elapsed;

        await stranger.SendAsync(bytes.AsMemory(0, 2));

        Assert.Equal(KwikError.AuthenticationFailed, await stranger.EndAsync());
        Assert.InRange(world.Time.Elapsed - began, TimeSpan.Zero, TimeSpan.FromMilliseconds(100));
    });

    [Fact]
    public void Stranger_WithAFirstFrameOf4KiB_IsAdmitted() => AtPrimary(async (_, stranger) =>
    {
        var frame = new ControlFrame { Authenticate = new Authenticate { Version = 1, Role = Role.Primary } };
        int rest = ControlCodec.MaxUnauthenticatedFrameSize - ControlCodec.Encode(frame).Length;
        // Two length prefixes grow with what is in them.
        frame.Authenticate.PathToken = ByteString.CopyFrom(new byte[rest - 8]);
        Assert.InRange(ControlCodec.Encode(frame).Length, ControlCodec.MaxUnauthenticatedFrameSize - 8, ControlCodec.MaxUnauthenticatedFrameSize);
        await stranger.SendAsync(frame);
        Assert.NotNull((await stranger.ReceiveAsync())?.Authenticated);
    });

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void Stranger_ThatDoesNotAuthenticate_IsGoneAfterTenSeconds(int bytes) => AtPrimary(async (world, stranger) =>
    {
        TimeSpan began = world.Time.Elapsed;
        await stranger.SendAsync(ControlCodec.Encode(new ControlFrame { Authenticate = new Authenticate { Version = 1 } }).AsMemory(0, bytes / 2));

        Assert.Equal(KwikError.AuthenticationFailed, await stranger.EndAsync());
        Assert.InRange(world.Time.Elapsed - began, TimeSpan.FromSeconds(9.9), TimeSpan.FromSeconds(10.1));
    });

    [Fact]
    public void Client_ThatAuthenticatesTwice_LosesItsSession() => AtPrimary(async (_, client) =>
    {
        var authenticate = new ControlFrame { Authenticate = new Authenticate { Version = 1, Role = Role.Primary } };
        await client.SendAsync(authenticate);
        Assert.NotNull((await client.ReceiveAsync())?.Authenticated);
        await client.SendAsync(authenticate);
        Assert.Equal(KwikError.MetadataProtocolViolation, await client.EndAsync());
    });

    [Fact]
    public void Server_ThatDoesNotAnswerAuthenticate_IsGivenUpAfterTenSeconds() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await using ITransportListener listener = await deployment.PrimaryHost.Transport.ListenAsync(
            new TransportListenOptions
            {
                LocalEndPoint = new System.Net.IPEndPoint(deployment.PrimaryHost.Address, SimulatedDeployment.Port),
                ServerCertificate = TestCertificates.SelfSigned("primary"),
                InboundBidirectionalStreams = 1,
            },
            CancellationToken.None);
        TimeSpan began = world.Time.Elapsed;

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => deployment.ConnectAsync());

        Assert.Equal(KwikError.Timeout, e.Code);
        Assert.InRange(world.Time.Elapsed - began, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10.1));
    });

    private static void AtPrimary(Func<SimulatedWorld, RawPeer, Task> play) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, session => session.Closed);
        await using (RawPeer stranger = await RawPeer.ConnectAsync(deployment.ClientHost, deployment.PrimaryHost))
        {
            await play(world, stranger);
        }

        await deployment.DisposeAsync();
        await world.Delay(TimeSpan.FromSeconds(1));
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });
}
