using Kwik.Data;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;

namespace Kwik.Session.Tests.Rows;

/// <content>Sessions that end under their streams.</content>
public abstract partial class XStreamRows
{
    [Fact]
    public Task PeerVanished_ReadsAndWrites_AreConnectionReset() => BothWaysAsync(async (near, far) =>
    {
        Task reading = near.Stream.ReadAsync(new byte[1]).AsTask();
        Task accepting = near.AcceptAsync();
        far.Vanish();

        KwikException e = await FailureAsync<XStreamException>(reading);
        await AssertFailsAsync(reading, XStreamErrorKind.ConnectionReset, e.Side);
        await AssertFailsAsync(near.Stream.Closed, XStreamErrorKind.ConnectionReset, e.Side, e.Code);
        AssertEnded(near.Stream, XStreamState.Error);
        await AssertReadFailsAsync(near.Stream, XStreamErrorKind.ConnectionReset, e.Side, e.Code);
        await AssertWritesFailAsync(near.Stream, XStreamErrorKind.ConnectionReset, e.Side, e.Code);
        await AssertFailsAsync(accepting, XStreamErrorKind.NotConnected, e.Side, e.Code);
        await AssertFailsAsync(near.OpenAsync(), XStreamErrorKind.NotConnected, e.Side, e.Code);
        await AssertFailsAsync(near.AcceptAsync(), XStreamErrorKind.NotConnected, e.Side, e.Code);
    });

    [Fact]
    public Task PeerVanished_PendingWrite_IsConnectionReset() => BothWaysAsync(async (near, far) =>
    {
        Task writing = near.Stream.WriteAsync(new byte[Capacity]).AsTask();
        Assert.False(writing.IsCompleted);
        far.Vanish();
        await AssertFailsAsync(writing, XStreamErrorKind.ConnectionReset, await SideOfEndAsync(near), await CodeOfEndAsync(near));
    });

    [Fact]
    public Task PeerVanished_StreamThatIsAllHere_IsReadToItsEnd() => BothWaysAsync(async (near, far) =>
    {
        await far.Stream.WriteAsync(Bytes(20_000));
        far.Stream.CompleteWrites();
        await near.Stream.FillAsync(new byte[10]);

        // Both directions have ended: this side has the end of the peer's.
        near.Stream.CompleteWrites();
        await near.Stream.Closed;
        far.Vanish();
        await CodeOfEndAsync(near);
        Assert.Equal(Bytes(20_000)[10..], await near.Stream.ReadToEndAsync());
        Assert.Equal(0, await near.Stream.ReadAsync(new byte[1]));
    });

    [Fact]
    public Task PeerVanished_StreamThatIsNotAllHere_IsConnectionReset() => BothWaysAsync(async (near, far) =>
    {
        await far.Stream.WriteAsync(Bytes(1000));
        await near.Stream.FillAsync(new byte[10]);
        far.Vanish();
        await FailureAsync<XStreamException>(near.Stream.Closed);

        // What is left of a piece that is being read still comes; no end does.
        await AssertFailsAsync(
            near.Stream.ReadToEndAsync(), XStreamErrorKind.ConnectionReset, await SideOfEndAsync(near), await CodeOfEndAsync(near));
    });

    [Fact]
    public Task PeerVanished_WhoReadsErrors_GetsConnectionReset() => RunAsync(async (StreamEnd outbound, StreamEnd inbound) =>
    {
        Task pending = outbound.Stream.ReadErrorAsync();
        Assert.False(pending.IsCompleted);
        inbound.Vanish();
        await AssertFailsAsync(pending, XStreamErrorKind.ConnectionReset, await SideOfEndAsync(outbound), await CodeOfEndAsync(outbound));
    });

    [Fact]
    public Task PeerVanished_WhoSaysErrors_GetsConnectionReset() => RunAsync(async (StreamEnd outbound, StreamEnd inbound) =>
    {
        outbound.Vanish();
        await FailureAsync<XStreamException>(inbound.Stream.Closed);
        await AssertFailsAsync(
            inbound.Stream.NotifyErrorAsync("still there?"), XStreamErrorKind.ConnectionReset, await SideOfEndAsync(inbound), await CodeOfEndAsync(inbound));
        await AssertFailsAsync(
            inbound.Stream.WriteErrorAsync("no more"), XStreamErrorKind.ConnectionReset, await SideOfEndAsync(inbound), await CodeOfEndAsync(inbound));
    });

    [Fact]
    public Task OwnSessionClosed_EveryCall_IsNotConnected() => BothWaysAsync(async (near, far) =>
    {
        await far.Stream.WriteAsync(Bytes(1000));
        await near.Stream.FillAsync(new byte[10]);
        Task accepting = near.AcceptAsync();
        await near.CloseSessionAsync(KwikError.None, "");
        await AssertReadFailsAsync(near.Stream, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
        await AssertWritesFailAsync(near.Stream, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
        await AssertNotConnectedAsync(accepting);
        await AssertNotConnectedAsync(near.OpenAsync());
        await AssertNotConnectedAsync(near.AcceptAsync());
        await near.Stream.DisposeAsync();
        await AssertDisposedAsync(near.Stream);
    });

    [Fact]
    public Task OwnSessionClosed_PendingRead_IsNotConnected() => BothWaysAsync(async (near, far) =>
    {
        Task reading = near.Stream.ReadAsync(new byte[1]).AsTask();
        Assert.False(reading.IsCompleted);
        await near.CloseSessionAsync(KwikError.LimitExceeded, "enough");
        await AssertFailsAsync(reading, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
    });

    [Fact]
    public Task OwnSessionEndedAtOnce_EveryCall_IsNotConnected() => BothWaysAsync(async (near, _) =>
    {
        Task reading = near.Stream.ReadAsync(new byte[1]).AsTask();
        near.EndSession();
        await AssertFailsAsync(reading, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
        await AssertReadFailsAsync(near.Stream, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
        await AssertWritesFailAsync(near.Stream, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
        Assert.True(near.Stream.IsClosed);
        await AssertNotConnectedAsync(near.OpenAsync());
        await AssertNotConnectedAsync(near.AcceptAsync());
    });

    [Theory, InlineData(false), InlineData(true)]
    public Task SessionEnded_WhileAStreamIsBeingOpened_IsNotConnected(bool byPeer) => BothWaysAsync(async (near, far) =>
    {
        var opened = new List<KwikStream>();
        for (int open = near.Stream.Direction == XStreamDirection.Outbound ? 1 : 0; open < MaxStreams; open++)
        {
            opened.Add(await near.OpenAsync());
        }

        Task opening = near.OpenAsync();
        Assert.False(opening.IsCompleted);
        if (byPeer)
        {
            far.Vanish();
            await AssertFailsAsync(opening, XStreamErrorKind.NotConnected, await SideOfEndAsync(near), await CodeOfEndAsync(near));
        }
        else
        {
            near.EndSession();
            await AssertFailsAsync(opening, XStreamErrorKind.NotConnected, KwikErrorSide.Local, KwikError.Cancelled);
        }

        foreach (KwikStream stream in opened)
        {
            await stream.DisposeAsync();
        }
    });

    [Fact]
    public Task PeersSessionClosed_StreamThatIsAllHere_IsReadToItsEnd() => BothWaysAsync(async (near, far) =>
    {
        await far.Stream.WriteAsync(Bytes(20_000));
        far.Stream.CompleteWrites();
        near.Stream.CompleteWrites();
        await near.Stream.Closed;
        Task accepting = near.AcceptAsync();
        Task closing = far.CloseSessionAsync(KwikError.LimitExceeded, "enough");
        await AssertFailsAsync(accepting, XStreamErrorKind.NotConnected, KwikErrorSide.Remote, KwikError.LimitExceeded);
        await AssertFailsAsync(near.OpenAsync(), XStreamErrorKind.NotConnected, KwikErrorSide.Remote, KwikError.LimitExceeded);
        Assert.Equal(Bytes(20_000), await near.Stream.ReadToEndAsync());
        await closing;
    });

    private static Task<XStreamException> AssertNotConnectedAsync(Task call) => AssertFailsAsync(call, XStreamErrorKind.NotConnected, KwikErrorSide.Local);

    /// <summary>What the session itself says of its end.</summary>
    private static async Task<KwikError> CodeOfEndAsync(StreamEnd end) => (await FailureAsync<XStreamException>(end.AcceptAsync())).Code;

    private static async Task<KwikErrorSide> SideOfEndAsync(StreamEnd end) => (await FailureAsync<XStreamException>(end.AcceptAsync())).Side;
}
