using Kwik.Data;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;

namespace Kwik.Session.Tests.Rows;

/// <content>Faults and notifications of the application, and streams that are given up.</content>
public abstract partial class XStreamRows
{
    private static readonly byte[] Details = [1, 2, 3];

    [Fact]
    public Task Fault_PendingRead_EndsWithIt() => RunAsync(async (outbound, inbound) =>
    {
        Task reading = outbound.ReadAsync(new byte[1]).AsTask();
        Assert.False(reading.IsCompleted);
        await inbound.WriteErrorAsync("no more", 7, Details);
        AssertFault(await FailureAsync<XStreamFaultException>(reading), outbound);
    });

    [Fact]
    public Task Fault_DataThatWasNotRead_ComesAfterIt() => RunAsync(async (outbound, inbound) =>
    {
        await inbound.WriteAsync(Bytes(1000));
        var received = new byte[1000];
        await outbound.FillAsync(received.AsMemory(0, 10));
        await FailureAsync<InvalidOperationException>(Calling(() => outbound.ReadRestAfterErrorAsync(new byte[1]).AsTask()));
        await inbound.WriteErrorAsync("no more", 7, Details);

        Assert.True((await outbound.ReadErrorAsync())?.IsFault);
        for (int i = 0; i < 2; i++)
        {
            AssertFault(await FailureAsync<XStreamFaultException>(outbound.ReadAsync(new byte[1]).AsTask()), outbound);
        }

        int have = 10;
        while (await outbound.ReadRestAfterErrorAsync(received.AsMemory(have, Math.Min(400, 1000 - have))) is int read and > 0)
        {
            have += read;
        }

        Assert.Equal(Bytes(1000), received);
        Assert.Equal(0, await outbound.ReadRestAfterErrorAsync(new byte[1]));
        AssertFault(await FailureAsync<XStreamFaultException>(outbound.ReadAsync(new byte[1]).AsTask()), outbound);
    });

    [Fact]
    public Task Fault_WhoReadsErrors_GetsItAndThenNull() => RunAsync(async (outbound, inbound) =>
    {
        Task<XStreamError?> pending = outbound.ReadErrorAsync();
        Assert.False(pending.IsCompleted);
        await inbound.WriteErrorAsync("no more", 7, Details);
        AssertFault(await pending);
        Assert.Null(await outbound.ReadErrorAsync());
        Assert.Null(await outbound.ReadErrorAsync());
    });

    [Fact]
    public Task Fault_BothSides_AreInErrorAndTellWhy() => RunAsync(async (outbound, inbound) =>
    {
        await inbound.WriteErrorAsync("no more", 7, Details);
        AssertEnded(inbound, XStreamState.Error);
        await AssertFailsAsync(inbound.Closed, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.StreamFault);
        await AssertReadFailsAsync(inbound, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.StreamFault);
        await AssertWritesFailAsync(inbound, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.StreamFault);

        AssertFault(await FailureAsync<XStreamFaultException>(outbound.Closed), outbound);
        AssertEnded(outbound, XStreamState.Error);
        await AssertWritesFailAsync(outbound, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.StreamFault);
    });

    [Fact]
    public Task Fault_PendingReadOfTheSideThatSaysIt_IsStreamClosed() => RunAsync(async (outbound, inbound) =>
    {
        Task reading = inbound.ReadAsync(new byte[1]).AsTask();
        Assert.False(reading.IsCompleted);
        await inbound.WriteErrorAsync("no more");
        await AssertFailsAsync(reading, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.StreamFault);
    });

    [Fact]
    public Task Fault_WriteBlockedAtTheOtherSide_IsBrokenPipe() => RunAsync(async (outbound, inbound) =>
    {
        Task writing = outbound.WriteAsync(new byte[Capacity]).AsTask();
        Assert.False(writing.IsCompleted);
        await inbound.WriteErrorAsync("no more");
        await AssertFailsAsync(writing, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.StreamFault);
    });

    [Fact]
    public Task Fault_WhileAWriteIsBlocked_EndsItAndIsStillSeenByThePeer() => RunAsync(async (outbound, inbound) =>
    {
        Task writing = inbound.WriteAsync(new byte[Capacity]).AsTask();
        await outbound.FillAsync(new byte[10]);
        Assert.False(writing.IsCompleted);
        await inbound.WriteErrorAsync("no more", 7, Details);

        await AssertFailsAsync(writing, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.StreamFault);
        Assert.Equal(KwikErrorSide.Local, (await FailureAsync<KwikException>(inbound.WritesClosed)).Side);
        AssertFault(await FailureAsync<XStreamFaultException>(outbound.Closed), outbound);
        AssertFault(await FailureAsync<XStreamFaultException>(outbound.ReadToEndAsync()), outbound);
    });

    [Fact]
    public Task Fault_AfterTheEndOfMain_WinsOverWhatWasNotRead() => RunAsync(async (outbound, inbound) =>
    {
        await inbound.WriteAsync(Bytes(1000));
        inbound.CompleteWrites();
        await outbound.FillAsync(new byte[10]);
        await inbound.WriteErrorAsync("no more", 7, Details);
        AssertFault(await FailureAsync<XStreamFaultException>(outbound.Closed), outbound);
        AssertFault(await FailureAsync<XStreamFaultException>(outbound.ReadToEndAsync()), outbound);
    });

    [Fact]
    public Task Fault_AfterEitherSideClosed_IsBrokenPipe() => RunAsync(async (outbound, inbound) =>
    {
        Task closing = outbound.CloseAsync();
        await PeersCloseAsync(inbound);
        await AssertFailsAsync(inbound.NotifyErrorAsync("still there?"), XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await AssertFailsAsync(inbound.WriteErrorAsync("no more"), XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await closing;
        await inbound.CloseAsync();
        await AssertFailsAsync(inbound.NotifyErrorAsync("still there?"), XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await inbound.DisposeAsync();
        await FailureAsync<ObjectDisposedException>(inbound.NotifyErrorAsync("still there?"));
        await FailureAsync<ObjectDisposedException>(inbound.WriteErrorAsync("no more"));
    });

    [Fact]
    public Task Fault_Twice_IsSaidOnce() => RunAsync(async (outbound, inbound) =>
    {
        await inbound.WriteErrorAsync("no more", 7, Details);
        await AssertFailsAsync(inbound.WriteErrorAsync("again"), XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.StreamFault);
        await AssertFailsAsync(inbound.NotifyErrorAsync("again"), XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.StreamFault);
        AssertFault(await outbound.ReadErrorAsync());
        Assert.Null(await outbound.ReadErrorAsync());
    });

    [Fact]
    public Task Notification_DoesNotDisturbTheData() => RunAsync(async (outbound, inbound) =>
    {
        Task reading = outbound.ReadAsync(new byte[1]).AsTask();
        await inbound.NotifyErrorAsync("first", 1, Details);
        await inbound.NotifyErrorAsync("second");
        AssertSaid(await outbound.ReadErrorAsync(), isFault: false, "first", 1, Details, 1);
        AssertSaid(await outbound.ReadErrorAsync(), isFault: false, "second", 0, [], 2);
        Assert.False(reading.IsCompleted);

        await inbound.WriteAsync(Bytes(1));
        await reading;
        await inbound.NotifyErrorAsync("third");
        await inbound.CloseAsync();
        Assert.Equal(0, await outbound.ReadAsync(new byte[1]));

        var rest = new List<string>();
        await foreach (XStreamError error in outbound.ReadErrorsAsync())
        {
            rest.Add(error.Message);
        }

        Assert.Equal(["third"], rest);
        Assert.Null(await outbound.ReadErrorAsync());
    });

    [Fact]
    public Task Notification_ThatIsTooLong_IsNotSaid() => RunAsync(async (outbound, inbound) =>
    {
        Assert.Equal(KwikError.LimitExceeded, (await FailureAsync<KwikException>(inbound.NotifyErrorAsync(new string('x', 70_000)))).Code);
        Assert.Equal(KwikError.LimitExceeded, (await FailureAsync<KwikException>(inbound.WriteErrorAsync(new string('x', 70_000)))).Code);
        await inbound.WriteAsync(Bytes(10));
        await inbound.NotifyErrorAsync("short", 0, new byte[65_000]);
        AssertSaid(await outbound.ReadErrorAsync(), isFault: false, "short", 0, new byte[65_000], 1);
        await outbound.FillAsync(new byte[10]);
    });

    [Fact]
    public Task Errors_InTheWrongDirection_AreInvalidAtOnce() => RunAsync(async (outbound, inbound) =>
    {
        foreach (Task call in new Task[]
        {
            outbound.WriteErrorAsync("no"), outbound.NotifyErrorAsync("no"), Calling(() => inbound.ReadErrorAsync()),
            NextAsync(inbound.ReadErrorsAsync()),
        })
        {
            Assert.True(call.IsCompleted);
            await FailureAsync<InvalidOperationException>(call);
        }

        Assert.Equal((XStreamState.Open, XStreamState.Open), (outbound.State, inbound.State));
    });

    [Fact]
    public Task OwnClose_OfWhoReadsErrors_EndsThatToo() => RunAsync(async (KwikStream outbound, KwikStream _) =>
    {
        Task pending = outbound.ReadErrorAsync();
        Assert.False(pending.IsCompleted);
        await outbound.CloseAsync();
        await AssertFailsAsync(pending, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.Cancelled);
        await AssertFailsAsync(outbound.ReadErrorAsync(), XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.Cancelled);
        await outbound.DisposeAsync();
        await FailureAsync<ObjectDisposedException>(Calling(() => outbound.ReadErrorAsync()));
    });

    public static TheoryData<KwikError, XStreamErrorKind> Codes => new()
    {
        { KwikError.LimitExceeded, XStreamErrorKind.ConnectionReset },
        { KwikError.Timeout, XStreamErrorKind.Timeout },
        { KwikError.AuthenticationFailed, XStreamErrorKind.Authentication },
        { KwikError.ContentMismatch, XStreamErrorKind.Protocol },
        { KwikError.PathLost, XStreamErrorKind.Network },
    };

    [Theory, MemberData(nameof(Codes))]
    public Task Abort_WithACode_FailsThePeersCallsWithIt(KwikError code, XStreamErrorKind kind) => BothWaysAsync(async (near, far) =>
    {
        Task reading = far.ReadAsync(new byte[1]).AsTask();
        Task own = near.ReadAsync(new byte[1]).AsTask();
        near.Abort(code);
        AssertEnded(near, XStreamState.Error);
        Assert.Equal((code, KwikErrorSide.Local), Told(await FailureAsync<XStreamException>(own)));
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, code);

        await AssertFailsAsync(reading, kind, KwikErrorSide.Remote, code);
        await AssertFailsAsync(far.Closed, kind, KwikErrorSide.Remote, code);
        AssertEnded(far, XStreamState.Error);
        await AssertReadFailsAsync(far, kind, KwikErrorSide.Remote, code);
        await AssertWritesFailAsync(far, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, code);
    });

    [Fact]
    public Task Abort_OfWhoSaysErrors_IsNoCleanEndForWhoReadsThem() => RunAsync(async (outbound, inbound) =>
    {
        Task pending = outbound.ReadErrorAsync();
        inbound.Abort(KwikError.LimitExceeded);
        await AssertFailsAsync(pending, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, KwikError.LimitExceeded);
        await AssertFailsAsync(outbound.ReadErrorAsync(), XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, KwikError.LimitExceeded);
    });

    private static (KwikError Code, KwikErrorSide Side) Told(KwikException e) => (e.Code, e.Side);

    private static async Task NextAsync(IAsyncEnumerable<XStreamError> errors)
    {
        await foreach (XStreamError _ in errors)
        {
        }
    }

    private static void AssertFault(XStreamError? said) => AssertSaid(said, isFault: true, "no more", 7, Details, 1);

    private static void AssertFault(XStreamFaultException e, KwikStream stream)
    {
        Assert.Equal((XStreamErrorKind.StreamClosed, KwikError.StreamFault, KwikErrorSide.Remote, stream.Id), (e.Kind, e.Code, e.Side, e.StreamId));
        AssertFault(e.Fault);
    }

    private static void AssertSaid(XStreamError? said, bool isFault, string message, ulong code, byte[] details, long sequence)
    {
        Assert.NotNull(said);
        Assert.Equal((isFault, message, code, sequence), (said.IsFault, said.Message, said.Code, said.Sequence));
        Assert.Equal(details, said.Details.ToArray());
    }
}
