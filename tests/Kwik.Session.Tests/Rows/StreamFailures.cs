using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Session.Tests.Rows;

/// <summary>How calls on a public stream fail.</summary>
internal static class StreamFailures
{
    /// <summary>What the task fails with: that very type. By hand, to stay on the simulation's thread.</summary>
    public static async Task<T> FailureAsync<T>(Task task)
        where T : Exception
    {
        try
        {
            await task;
        }
        catch (Exception e)
        {
            return Assert.IsType<T>(e);
        }

        Assert.Fail($"The call succeeded where {typeof(T).Name} was expected.");
        throw new InvalidOperationException();
    }

    public static async Task<XStreamException> AssertFailsAsync(Task task, XStreamErrorKind kind, KwikErrorSide side, KwikError? code = null)
    {
        XStreamException e = await FailureAsync<XStreamException>(task);
        Assert.Equal((kind, side, code ?? e.Code), (e.Kind, e.Side, e.Code));
        return e;
    }

    public static Task AssertReadFailsAsync(KwikStream stream, XStreamErrorKind kind, KwikErrorSide side, KwikError? code = null) =>
        AssertFailsAsync(stream.ReadAsync(new byte[1]).AsTask(), kind, side, code);

    /// <summary>Writes of all kinds, flush and CompleteWrites fail, at once, every time, and not with one exception for all.</summary>
    public static async Task AssertWritesFailAsync(KwikStream stream, XStreamErrorKind kind, KwikErrorSide side, KwikError? code = null)
    {
        var failures = new HashSet<XStreamException>(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < 2; i++)
        {
            foreach (Task call in WritesOf(stream))
            {
                Assert.True(call.IsCompleted);
                XStreamException e = await AssertFailsAsync(call, kind, side, code);
                Assert.Equal(stream.Id, e.StreamId);
                Assert.True(failures.Add(e));
            }
        }
    }

    public static async Task AssertDisposedAsync(KwikStream stream)
    {
        foreach (Task call in WritesOf(stream).Append(stream.ReadAsync(new byte[1]).AsTask()))
        {
            Assert.True(call.IsCompleted);
            await FailureAsync<ObjectDisposedException>(call);
        }
    }

    private static Task[] WritesOf(KwikStream stream) =>
    [
        stream.WriteAsync(new byte[1]).AsTask(), stream.WriteAtAsync(100, new byte[1]).AsTask(), stream.FlushAsync(),
        Calling(stream.CompleteWrites), Calling(() => stream.CompleteWrites(1000)),
    ];

    /// <summary>A call that returns nothing, as a task that has ended.</summary>
    public static async Task Calling(Action call)
    {
        await Task.CompletedTask;
        call();
    }
}
