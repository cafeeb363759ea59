using Kwik.Data;
using Xunit;

namespace Kwik.Testing;

/// <summary>Writing, flushing, and the flow between writer and reader.</summary>
public abstract partial class StreamConformanceTests
{
    [Theory, MemberData(nameof(Calls))]
    public Task Write_PartOfAnArray_WritesThatPart(StreamCall call) => RunAsync(async (near, far) =>
    {
        await near.WriteAsync(call, "--hello---"u8.ToArray(), 2, 5);
        near.CompleteWrites();
        Assert.Equal("hello"u8.ToArray(), await far.ReadToEndAsync());
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Write_OfNoBytes_ChangesNothing(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task<int> reading = far.ReadAsync(new byte[1]).AsTask();
        await near.WriteAsync(call, []);
        await near.WriteAsync(call, new byte[3], 3, 0);
        await near.FlushAsync();
        Assert.False(reading.IsCompleted);
        await near.WriteAsync(call, "hello"u8.ToArray());
        Assert.Equal(1, await reading);
        await near.WriteAsync(call, []);
        await near.WriteAsync(call, "world"u8.ToArray());
        await near.WriteAsync(call, []);
        near.CompleteWrites();
        Assert.Equal("elloworld"u8.ToArray(), await far.ReadToEndAsync());
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Write_WithoutFlush_Arrives(StreamCall call) => RunAsync(async (near, far) =>
    {
        await near.WriteAsync(call, "now"u8.ToArray());
        Assert.Equal("now"u8.ToArray(), await far.TakeAsync(3));
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Write_BufferChangedAfterwards_WritesWhatItWas(StreamCall call) => RunAsync(async (near, far) =>
    {
        byte[] buffer = Bytes(50_000);
        await near.WriteAsync(call, buffer);
        Array.Clear(buffer);
        Assert.Equal(Bytes(50_000), await far.TakeAsync(50_000));
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Write_MoreThanThereIsRoomFor_WaitsForTheReader(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task writing = near.WriteAsync(call, Bytes(Capacity));
        Assert.Equal(Bytes(Capacity)[..10], await far.TakeAsync(10));
        Assert.False(writing.IsCompleted);
        Assert.Equal(Bytes(Capacity)[10..], await far.TakeAsync(Capacity - 10));
        await writing;
        await near.WriteAsync(call, "more"u8.ToArray());
        Assert.Equal("more"u8.ToArray(), await far.TakeAsync(4));
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Write_WhileAnotherIsPending_ThrowsAndLeavesThatAlone(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task writing = near.WriteAsync(Bytes(Capacity)).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(() => near.WriteAsync(call, new byte[1]));
        Assert.Equal(Bytes(Capacity), await far.TakeAsync(Capacity));
        await writing;
        await WriteAllAsync(near, "end"u8.ToArray());
        Assert.Equal("end"u8.ToArray(), await far.ReadToEndAsync());
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Write_AfterWritesWereCompleted_Throws(StreamCall call) => RunAsync(async (near, far) =>
    {
        await WriteAllAsync(near, "all"u8.ToArray());
        await Assert.ThrowsAsync<InvalidOperationException>(() => near.WriteAsync(call, new byte[1]));
        Assert.Equal("all"u8.ToArray(), await far.ReadToEndAsync());
        await far.WriteAsync("answer"u8.ToArray());
        Assert.Equal("answer"u8.ToArray(), await near.TakeAsync(call, 6));
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Write_ToAReaderThatIsGone_ThrowsAnIOException(StreamCall call) => RunAsync(async (near, far) =>
    {
        await far.DisposeAsync();
        Exception? fault = null;
        while (fault is null)
        {
            // What is under way when the reader goes is lost without a word, as with any network.
            fault = await Record.ExceptionAsync(() => near.WriteAsync(call, new byte[100]));
        }

        Assert.Equal(KwikError.Cancelled, Assert.IsType<KwikException>(fault, exactMatch: false).Code);
        Assert.IsType<IOException>(fault, exactMatch: false);
        Assert.Equal(0, await near.ReadAsync(call, new byte[1]));
    });

    [Fact]
    public Task Flush_WithNothingToFlush_Ends() => RunAsync(async (near, far) =>
    {
        await OwnThread.RunAsync(near.Flush);
        await near.FlushAsync();
        Task<int> reading = near.ReadAsync(new byte[1]).AsTask();
        await OwnThread.RunAsync(near.Flush);
        await near.FlushAsync();
        Assert.False(reading.IsCompleted);
        await WriteAllAsync(far, Bytes(1));
        await reading;
        near.CompleteWrites();
        await OwnThread.RunAsync(near.Flush);
        await near.FlushAsync();
    });

    [Fact]
    public Task ReadAndWrite_AtOnceOnBothSides_DoNotWaitForEachOther() => RunAsync(async (near, far) =>
    {
        Task<byte[]> nearReading = near.TakeAsync(Capacity);
        Task<byte[]> farReading = far.TakeAsync(Capacity);
        Task nearWriting = near.WriteAsync(Bytes(Capacity, seed: 1)).AsTask();
        Task farWriting = far.WriteAsync(Bytes(Capacity, seed: 2)).AsTask();
        await nearWriting;
        await farWriting;
        Assert.Equal(Bytes(Capacity, seed: 2), await nearReading);
        Assert.Equal(Bytes(Capacity, seed: 1), await farReading);
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Write_WhileAReadOfTheSameStreamIsPending_GoesThrough(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task<byte[]> reading = near.TakeAsync(call, 6);
        await near.WriteAsync(call, "question"u8.ToArray());
        Assert.Equal("question"u8.ToArray(), await far.TakeAsync(8));
        Assert.False(reading.IsCompleted);
        await far.WriteAsync(call, "answer"u8.ToArray());
        Assert.Equal("answer"u8.ToArray(), await reading);
    });
}
